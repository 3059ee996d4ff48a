-- retry: job tenant -> {the status it had} | nothing | "complete" when it succeeded and nothing of it is missing | as accept "quota"
local job, tenant = unpack(ARGV)
local key = 'f:j:' .. job
local record = call('HMGET', key, 'status', 'tenant', 'dead', 'characters', 'events', 'ends', 'planned', 'result')
local status = record[1]
if record[2] ~= tenant then
  return false
end
if status == 'succeeded' and number(record[3]) == 0 then
  return 'complete'
end
if not MOVES.retry[status] then
  return {status}
end

local t = now()
local again = record[5] and number(record[6]) < ENDS_KEPT and END_BYTES or 0
local standing, refusal = admit(tenant, record[4], again, again, t)
if refusal then
  return refusal
end
count_reopening(job, tenant, standing, record[4], again, again)
grow(job, -number(record[7]) - number(record[8]), 0)
reopen(job, 'retry', t)
return {status}
