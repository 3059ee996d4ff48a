-- forget_batch: batch -> 1 | 0
local batch = unpack(ARGV)
local record = call('HMGET', 'f:b:' .. batch, 'tenant', 'bytes', 'records')
if not record[1] then
  return 0
end
drains()
local t = now()
unschedule('batch', batch, t)
unschedule('delete', batch, t)
unschedule('purge', batch, t)
forget_deliveries(batch, t)
release_lines(batch, record[1])
call('ZREM', 'f:batches:' .. record[1], batch)
use(record[1], 0, -number(record[2]), -number(record[3]))
call('UNLINK', 'f:b:' .. batch, 'f:s:' .. batch, 'f:lines:' .. batch) -- lines may be 50,000, too many to free here
drop_shared(batch)
return 1
