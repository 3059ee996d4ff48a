-- finish: job token outcome stored -> 1 | 0
local job, token, outcome, stored = unpack(ARGV)
if not MOVES.finish[call('HGET', 'f:j:' .. job, 'status')] or not holds('assemble', job, token) then
  return 0
end
drains()
call('SET', 'f:o:' .. job, outcome)
call('HSET', 'f:j:' .. job, 'result', stored)
grow(job, tonumber(stored), 0)
close(job, 'finish', now())
return 1
