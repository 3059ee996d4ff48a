-- cancel: job tenant -> the status it had | nothing
local job, tenant = unpack(ARGV)
local record = call('HMGET', 'f:j:' .. job, 'status', 'tenant')
if record[2] ~= tenant then
  return false
end
if MOVES.cancel[record[1]] then
  drains()
  close(job, 'cancel', now())
end
return record[1]
