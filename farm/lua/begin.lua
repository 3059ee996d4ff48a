-- begin: token, (job count segment…)… -> job, {segments that may start}, …
local token = unpack(ARGV, 1, 1)
drains()
local answer, x = {}, 2
local grant = 'f:g:' .. token
while ARGV[x] do
  local job, held = ARGV[x], {}
  for y = x + 2, x + 1 + ARGV[x + 1] do
    if call('HEXISTS', grant, job .. ':' .. ARGV[y]) == 1 then
      held[#held + 1] = ARGV[y]
    end
  end
  x = x + 2 + ARGV[x + 1]
  local wanted = {}
  for _, segment in ipairs(unsettled(job, held)) do
    wanted[segment] = true
  end
  local starting, dropped = {}, 0
  for _, segment in ipairs(held) do
    if wanted[segment] then
      call('HSET', grant, job .. ':' .. segment, '1')
      starting[#starting + 1] = tonumber(segment)
    else
      call('HDEL', grant, job .. ':' .. segment)
      dropped = dropped + 1
    end
  end
  if dropped > 0 then
    let_go(token, call('HGET', 'f:j:' .. job, 'tenant'), dropped)
  end
  if #starting > 0 then
    answer[#answer + 1] = job
    answer[#answer + 1] = starting
  end
end
drop_if_empty(token)
return answer
