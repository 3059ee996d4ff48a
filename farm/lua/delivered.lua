-- delivered: id token record outcome again_ms("" for never) -> 1 | 0
local id, token, record, outcome, again_ms = unpack(ARGV)
if not holds('deliver', id, token) then
  return 0
end
drains()
local t = now()
local owner, k = string.match(id, '^(.*)%.(%d+)$')
local what = string.match(call('HGET', 'f:w:' .. owner, k), '^%S+') -- there, as long as its task is
call('HSET', 'f:w:' .. owner, k, what .. ' ' .. record)
count_up(1, 'webhook', outcome)
if again_ms == '' then
  unschedule('deliver', id, t)
else
  schedule('deliver', id, t + again_ms, t)
end
return 1
