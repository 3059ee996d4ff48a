-- beat: worker ttl_ms heartbeat("" when it says goodbye)
local worker, ttl_ms, heartbeat = unpack(ARGV)
drains()
if heartbeat ~= '' then
  call('HSET', 'f:beats', worker, heartbeat)
  call('ZADD', 'f:alive', now() + ttl_ms, worker)
else
  call('HDEL', 'f:beats', worker)
  call('ZREM', 'f:alive', worker)
end
