-- cancel_jobs: batch after limit -> the last line looked at | nothing when there is no line after `after`
local batch, after, limit = unpack(ARGV)
local lines = call('ZRANGEBYSCORE', 'f:lines:' .. batch, '(' .. after, '+inf', 'WITHSCORES', 'LIMIT', 0, limit)
if #lines == 0 then
  return false
end
drains()
local t = now()
for x = 1, #lines, 2 do
  if MOVES.cancel[call('HGET', 'f:j:' .. lines[x], 'status')] then
    close(lines[x], 'cancel', t)
  end
end
return tonumber(lines[#lines])
