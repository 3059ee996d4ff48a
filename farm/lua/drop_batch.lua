-- drop_batch: batch tenant -> 1 | nothing
-- From now on its tenant has no such batch; the desk deletes its jobs, and forgets it then.
local batch, tenant = unpack(ARGV)
local key = 'f:b:' .. batch
local record = call('HMGET', key, 'tenant', 'deleted')
if record[1] ~= tenant or record[2] then
  return false
end
drains()
local t = now()
call('HSET', key, 'deleted', 1, 'stopped', 1)
call('ZREM', 'f:batches:' .. tenant, batch)
skip_rest(batch, t)
unschedule('batch', batch, t)
unschedule('purge', batch, t)
forget_deliveries(batch, t)
event(batch, 'deleted', tenant)
schedule('delete', batch, t, t)
return 1
