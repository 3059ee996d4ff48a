-- expire: job token purge_after_s -> 1 | 0
local job, token, purge_after_s = unpack(ARGV)
if not MOVES.expire[call('HGET', 'f:j:' .. job, 'status')] or not holds('expire', job, token) then
  return 0
end
drains()
local t = now()
call('DEL', 'f:text:' .. job)
unschedule('expire', job, t)
move(job, 'expire', t)
schedule('purge', job, t + purge_after_s * 1000, t)
return 1
