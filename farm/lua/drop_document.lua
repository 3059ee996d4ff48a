-- drop_document: tenant id token("" for none) -> 1 | 0
local tenant, id, token = unpack(ARGV)
local task = id .. '.' .. tenant
if token ~= '' and not holds('document', task, token) then
  return 0
end
drains()
unschedule('document', task, now())
return drop_counted(tenant, 'f:docs:' .. tenant, id) and 1 or 0
