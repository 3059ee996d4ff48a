-- extend: kind id token lease_ms -> 1 | 0
local kind, id, token, lease_ms = unpack(ARGV)
if not holds(kind, id, token) then
  return 0
end
drains()
local t = now()
local lane, tenant = lane_and_tenant(kind, id)
call('ZADD', 'f:due:' .. kind .. ':' .. lane .. ':' .. tenant, t + lease_ms, id)
reindex_due(kind, lane, tenant, t)
return 1
