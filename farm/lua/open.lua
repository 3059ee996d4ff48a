-- open: schema birth_mark -> schema and birth mark of what is there, 1 when nothing was | 0
local schema, mark = call('GET', 'f:schema'), call('GET', 'f:born')
if not schema then
  call('SET', 'f:schema', ARGV[1])
end
-- Keyspaces of schema 1 were made without a mark at first; also a full Redis can be opened.
if not mark and (schema or ARGV[1]) == ARGV[1] then
  drains()
  call('SET', 'f:born', ARGV[2])
end
return {tonumber(schema or ARGV[1]), call('GET', 'f:born'), schema and 0 or 1}
