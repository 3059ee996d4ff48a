-- open: schema mark -> schema and birth mark of what is there, 1 when nothing was | 0
local schema, mark = unpack(ARGV)
local found, found_mark = call('GET', 'f:schema'), call('GET', 'f:born')
if not found then
  call('SET', 'f:schema', schema)
end
-- The first keyspaces of schema 1 had no mark, so they get one here. drains(), because a full Redis must open too.
if not found_mark and (found or schema) == schema then
  drains()
  call('SET', 'f:born', mark)
end
return {tonumber(found or schema), call('GET', 'f:born'), found and 0 or 1}
