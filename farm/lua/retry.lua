-- retry: job tenant -> the status it had | nothing | "complete" when it succeeded and nothing of it is missing
local job, tenant = unpack(ARGV)
local key = 'f:j:' .. job
local record = call('HMGET', key, 'status', 'tenant', 'batch', 'dead')
local status, batch = record[1], record[3]
if record[2] ~= tenant then
  return false
end
if status == 'succeeded' and number(record[4]) == 0 then
  return 'complete'
end
if not MOVES.retry[status] then
  return status
end

local t = now()
count_up(1, 'retried')
for field, sum in pairs({total = 'segments', done = 'done', dead = 'dead', cached = 'cached', ms = 'ms'}) do
  tally(batch, sum, -number(call('HGET', key, field)))
end
call('HDEL', key, 'total', 'ready', 'done', 'dead', 'cached', 'ms', 'redos', 'started', 'running', 'ended')
call('DEL', 'f:o:' .. job)
remove_from_grants(job)
unschedule('expire', job, t)
move(job, 'retry', t)
schedule('plan', job, t, t)
return status
