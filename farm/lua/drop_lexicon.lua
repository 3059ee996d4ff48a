-- drop_lexicon: tenant name -> what it was | nothing
local tenant, name = unpack(ARGV)
local key = 'f:lexicons:' .. tenant
local stored = call('HGET', key, name)
if stored then
  drains()
  use(tenant, 0, -number(string.match(stored, '^%d+')), 0)
  call('HDEL', key, name)
end
return stored
