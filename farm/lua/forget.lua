-- forget: job tenant("" for any) -> 1 | 0
local job, tenant = unpack(ARGV)
local record = call('HMGET', 'f:j:' .. job, 'status', 'tenant', 'batch', 'shares', 'bytes', 'records')
if not record[1] or (tenant ~= '' and tenant ~= record[2]) then
  return 0
end
drains()
local t = now()
if MOVES.cancel[record[1]] then
  close(job, 'cancel', t)
end
call('HINCRBY', 'f:count', call('HGET', 'f:j:' .. job, 'status'), -1)
call('ZREM', 'f:list:' .. record[2], job)
if record[3] then
  call('ZREM', 'f:lines:' .. record[3], job)
  if record[4] then
    call('HINCRBY', 'f:shared:' .. record[3], 'jobs', -1)
    drop_shared(record[3])
  end
end
unschedule('expire', job, t)
unschedule('purge', job, t)
drop_revisions(job, t)
forget_deliveries(job, t)
event(job, 'deleted', record[2], record[3])
use(record[2], 0, -number(record[5]), -number(record[6]))
call('DEL', 'f:j:' .. job, 'f:s:' .. job, 'f:o:' .. job, 'f:text:' .. job)
return 1
