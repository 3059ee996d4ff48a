-- open: schema -> the schema of what is there; ours when nothing was
local schema = call('GET', 'f:schema')
if not schema then
  call('SET', 'f:schema', ARGV[1])
end
return tonumber(schema or ARGV[1])
