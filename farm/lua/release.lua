-- release: token all(1|0), (job count segment…)… unless all -> how many are ready again
local token, all = unpack(ARGV, 1, 2)
drains()
local k = 0
local grant = 'f:g:' .. token

local function release(job, segments)
  local held = {}
  for _, segment in ipairs(segments) do
    if call('HDEL', grant, job .. ':' .. segment) == 1 then
      held[#held + 1] = segment
    end
  end
  let_go(token, call('HGET', 'f:j:' .. job, 'tenant'), #held)
  k = k + give_back(job, unsettled(job, held))
end

if all == '0' then
  local x = 3
  while ARGV[x] do
    local segments = {}
    for y = x + 2, x + 1 + ARGV[x + 1] do
      segments[#segments + 1] = ARGV[y]
    end
    release(ARGV[x], segments)
    x = x + 2 + ARGV[x + 1]
  end
else
  for job, held in pairs(held_by(token)) do
    release(job, held.segments)
  end
end
drop_if_empty(token)
return k
