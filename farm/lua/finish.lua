-- finish: job token outcome -> 1 | 0
local job = ARGV[1]
if not MOVES.finish[call('HGET', 'f:j:' .. job, 'status')] or not holds('assemble', job, ARGV[2]) then
  return 0
end
drains()
call('SET', 'f:o:' .. job, ARGV[3])
close(job, 'finish', now())
return 1
