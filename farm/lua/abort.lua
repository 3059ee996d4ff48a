-- abort: job kind token outcome -> 1 | 0
local job = ARGV[1]
if not MOVES.abort[call('HGET', 'f:j:' .. job, 'status')] or not holds(ARGV[2], job, ARGV[3]) then
  return 0
end
drains()
call('SET', 'f:o:' .. job, ARGV[4])
close(job, 'abort', now())
return 1
