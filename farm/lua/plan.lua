-- plan: job token total -> 1 | 0
local job, token, total = unpack(ARGV)
total = tonumber(total)
local record = call('HMGET', 'f:j:' .. job, 'status', 'batch')
if not MOVES.plan[record[1]] or not holds('plan', job, token) then
  return 0
end

drains()
local t = now()
unschedule('plan', job, t)
call('DEL', 'f:text:' .. job)
call('HSET', 'f:j:' .. job, 'total', total, 'ready', 0, 'done', 0, 'dead', 0, 'cached', 0, 'ms', 0, 'running', t)
tally(record[2], 'segments', total)
move(job, 'plan', t)
if total > 0 then
  local rest = total % 8
  local tail = rest > 0 and string.char(256 - 2 ^ (8 - rest)) or ''
  call('SET', 'f:r:' .. job, string.rep('\255', math.floor(total / 8)) .. tail)
  add_ready(job, place_of(job), total)
else
  complete(job, t)
end
return 1
