-- delivered: id token record again_ms ("" for never) -> 1 | 0
local id = ARGV[1]
if not holds('deliver', id, ARGV[2]) then
  return 0
end
drains()
local t = now()
local owner, k = string.match(id, '^(.*)%.(%d+)$')
local what = string.match(call('HGET', 'f:w:' .. owner, k), '^%S+')
call('HSET', 'f:w:' .. owner, k, what .. ' ' .. ARGV[3])
if ARGV[4] == '' then
  unschedule('deliver', id, t)
else
  schedule('deliver', id, t + ARGV[4], t)
end
return 1
