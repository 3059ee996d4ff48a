-- lock: name holder ttl_ms -> 1 | 0
local name, holder, ttl_ms = unpack(ARGV)
local key = 'f:lock:' .. name
local before = call('GET', key)
if before and before ~= holder then
  return 0
end
drains()
call('SET', key, holder, 'PX', ttl_ms)
return 1
