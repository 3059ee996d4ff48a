-- passage_done: job number token again(numbers of passages that are due once more: "0,3,4")
-- -> 1 when the job is due for assembly now | 0
local job, number, token, again = unpack(ARGV)
local id = job .. '.' .. number
if not holds('passage', id, token) then
  return 0
end
drains()
local t = now()
unschedule('passage', id, t)
local left = call('HINCRBY', 'f:j:' .. job, 'passages', -1) + pass_again(job, again, t)
if left > 0 then
  return 0
end
call('HDEL', 'f:j:' .. job, 'passages')
local is_taken = call('HEXISTS', 'f:due:token', 'assemble:' .. job) == 1
if is_taken or call('HGET', 'f:j:' .. job, 'status') ~= 'assembling' then
  return 0
end
schedule('assemble', job, t, t)
return 1
