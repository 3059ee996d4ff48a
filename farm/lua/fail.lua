-- fail: token job segment message -> 1 | 0
local token, job, segment, message = unpack(ARGV)
drains()
if call('HDEL', 'f:g:' .. token, job .. ':' .. segment) == 0 then
  return 0
end
let_go(token, call('HGET', 'f:j:' .. job, 'tenant'), 1)
local open = unsettled(job, {segment})
if #open > 0 then
  count_losses(job, open, message, now())
end
drop_if_empty(token)
return 1
