-- workers: -> heartbeats of those that are alive
drains()
for _, worker in ipairs(call('ZRANGEBYSCORE', 'f:alive', '-inf', now())) do
  call('HDEL', 'f:beats', worker)
  call('ZREM', 'f:alive', worker)
end
return call('HVALS', 'f:beats')
