-- reserve: idem_key holder request_digest ttl_ms -> "mine" | "again" id | "reused" | "in use"
local idem_key, holder, request_digest, ttl_ms = unpack(ARGV)
local earlier = idempotent(idem_key, request_digest)
if earlier then
  return earlier
end
local mine = '?' .. holder .. ' ' .. request_digest
local value = call('GET', 'f:idem:' .. idem_key)
if value and string.sub(value, 1, 1) == '?' and value ~= mine then
  return {'in use'}
end
remember(idem_key, '?' .. holder, request_digest, ttl_ms)
return {'mine'}
