-- abort: job kind token outcome -> 1 | 0
local job, kind, token, outcome = unpack(ARGV)
if not MOVES.abort[call('HGET', 'f:j:' .. job, 'status')] or not holds(kind, job, token) then
  return 0
end
drains()
call('SET', 'f:o:' .. job, outcome)
close(job, 'abort', now())
return 1
