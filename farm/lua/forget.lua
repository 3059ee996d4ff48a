-- forget: job tenant ("" for any) -> 1 | 0
local job = ARGV[1]
local record = call('HMGET', 'f:j:' .. job, 'status', 'tenant', 'batch')
local tenant, batch = record[2], record[3]
if not record[1] or (ARGV[2] ~= '' and ARGV[2] ~= tenant) then
  return 0
end
drains()
local t = now()
if MOVES.cancel[record[1]] then
  close(job, 'cancel', t)
end
call('HINCRBY', 'f:count', call('HGET', 'f:j:' .. job, 'status'), -1)
call('ZREM', 'f:list:' .. tenant, job)
if batch then
  call('ZREM', 'f:lines:' .. batch, job)
end
unschedule('expire', job, t)
unschedule('purge', job, t)
forget_deliveries(job, t)
call('DEL', 'f:j:' .. job, 'f:s:' .. job, 'f:o:' .. job, 'f:text:' .. job)
return 1
