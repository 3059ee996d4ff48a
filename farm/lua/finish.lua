-- finish: job token outcome -> 1 | 0
local job, token, outcome = unpack(ARGV)
if not MOVES.finish[call('HGET', 'f:j:' .. job, 'status')] or not holds('assemble', job, token) then
  return 0
end
drains()
call('SET', 'f:o:' .. job, outcome)
close(job, 'finish', now())
return 1
