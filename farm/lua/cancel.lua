-- cancel: job tenant -> the status it had | nothing
local record = call('HMGET', 'f:j:' .. ARGV[1], 'status', 'tenant')
if record[2] ~= ARGV[2] then
  return false
end
if MOVES.cancel[record[1]] then
  drains()
  close(ARGV[1], 'cancel', now())
end
return record[1]
