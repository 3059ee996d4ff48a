-- plan: job token total -> 1 | 0
local job, token, total = unpack(ARGV)
if not MOVES.plan[call('HGET', 'f:j:' .. job, 'status')] or not holds('plan', job, token) then
  return 0
end

drains()
local t = now()
unschedule('plan', job, t)
call('DEL', 'f:text:' .. job)
begin_rendering(job, tonumber(total), t)
return 1
