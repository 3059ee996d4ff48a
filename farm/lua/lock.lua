-- lock: name holder ttl_ms -> 1 | 0
local key = 'f:lock:' .. ARGV[1]
local holder = call('GET', key)
if holder and holder ~= ARGV[2] then
  return 0
end
drains()
call('SET', key, ARGV[2], 'PX', ARGV[3])
return 1
