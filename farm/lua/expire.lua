-- expire: job token purge_after_s -> 1 | 0
local job, token, purge_after_s = unpack(ARGV)
if not MOVES.expire[call('HGET', 'f:j:' .. job, 'status')] or not holds('expire', job, token) then
  return 0
end
drains()
local t = now()
grow(job, 0, -call('STRLEN', 'f:text:' .. job))
call('DEL', 'f:text:' .. job)
local past = drop_revisions(job, t)
grow(job, -past, -past)
local left = call('HMGET', 'f:j:' .. job, 'records', 'bytes')
grow(job, number(left[1]) - number(left[2]), 0) -- its objects are gone
unschedule('expire', job, t)
move(job, 'expire', t)
schedule('purge', job, t + purge_after_s * 1000, t)
return 1
