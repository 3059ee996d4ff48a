-- drop_document: tenant id token("" for none) -> 1 | 0
local tenant, id, token = unpack(ARGV)
local key, task = 'f:docs:' .. tenant, id .. '.' .. tenant
local old = call('HGET', key, id)
if token ~= '' and not holds('document', task, token) then
  return 0
end
drains()
unschedule('document', task, now())
if not old then
  return 0
end
use(tenant, 0, -number(string.match(old, '^%d+')), 0)
call('HDEL', key, id)
return 1
