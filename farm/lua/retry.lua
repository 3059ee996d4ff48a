-- retry: job tenant -> {the status it had} | nothing | "complete" when it succeeded and nothing of it is missing | as accept "quota"
local job, tenant = unpack(ARGV)
local key = 'f:j:' .. job
local record = call('HMGET', key, 'status', 'tenant', 'batch', 'dead', 'characters', 'events', 'ends',
  'planned', 'result')
local status, batch = record[1], record[3]
if record[2] ~= tenant then
  return false
end
if status == 'succeeded' and number(record[4]) == 0 then
  return 'complete'
end
if not MOVES.retry[status] then
  return {status}
end

local t = now()
local again = record[6] and number(record[7]) < ENDS_KEPT and END_BYTES or 0
local standing, refusal = admit(tenant, record[5], again, again, t)
if refusal then
  return refusal
end
count_request(tenant, standing)
call('HSET', key, 'held', record[5])
if call('HEXISTS', key, 'records') == 0 then
  use(tenant, 0, -again, -again)
else
  call('HINCRBY', key, 'bytes', again)
  call('HINCRBY', key, 'records', again)
end
grow(job, -number(record[8]) - number(record[9]), 0)
count_up(1, 'retried')
local sums = {total = 'segments', done = 'done', dead = 'dead', cached = 'cached', review = 'review', ms = 'ms'}
for field, sum in pairs(sums) do
  tally(batch, sum, -number(call('HGET', key, field)))
end
call('HDEL', key, 'total', 'ready', 'done', 'dead', 'cached', 'review', 'ms', 'redos', 'started', 'running',
  'ended', 'planned', 'result')
call('DEL', 'f:o:' .. job)
remove_from_grants(job)
unschedule('expire', job, t)
move(job, 'retry', t)
schedule('plan', job, t, t)
return {status}
