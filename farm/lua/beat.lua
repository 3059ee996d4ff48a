-- beat: worker ttl_ms heartbeat (none: it says goodbye)
drains()
if ARGV[3] then
  call('HSET', 'f:beats', ARGV[1], ARGV[3])
  call('ZADD', 'f:alive', now() + ARGV[2], ARGV[1])
else
  call('HDEL', 'f:beats', ARGV[1])
  call('ZREM', 'f:alive', ARGV[1])
end
