-- plan: job token total stored passages(for each, four bytes of its end and four of its size) -> 1 | 0
local job, token, total, stored, passages = unpack(ARGV)
if not MOVES.plan[call('HGET', 'f:j:' .. job, 'status')] or not holds('plan', job, token) then
  return 0
end

drains()
local t = now()
unschedule('plan', job, t)
grow(job, tonumber(stored), -call('STRLEN', 'f:text:' .. job)) -- the text lies in storage by now
call('DEL', 'f:text:' .. job)
call('HSET', 'f:j:' .. job, 'planned', stored)
begin_rendering(job, tonumber(total), t)
if passages ~= '' then
  call('SET', 'f:p:' .. job, passages)
end
return 1
