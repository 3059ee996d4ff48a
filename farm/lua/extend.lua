-- extend: kind id token lease_ms -> 1 | 0
local kind, id = ARGV[1], ARGV[2]
if not holds(kind, id, ARGV[3]) then
  return 0
end
drains()
local t = now()
local lane, tenant = lane_and_tenant(kind, id)
call('ZADD', 'f:due:' .. kind .. ':' .. lane .. ':' .. tenant, t + ARGV[4], id)
reindex_due(kind, lane, tenant, t)
return 1
