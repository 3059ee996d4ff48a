-- reserve: idem_key holder request_digest ttl_ms -> "mine" | "again" id | "reused" | "in use"
local earlier = idempotent(ARGV[1], ARGV[3])
if earlier then
  return earlier
end
local mine = '?' .. ARGV[2] .. ' ' .. ARGV[3]
local value = call('GET', 'f:idem:' .. ARGV[1])
if value and string.sub(value, 1, 1) == '?' and value ~= mine then
  return {'in use'}
end
remember(ARGV[1], '?' .. ARGV[2], ARGV[3], ARGV[4])
return {'mine'}
