-- backlog: kind…
-- -> counts by status, ready by model and lane, quarantined by model, leased by model, due now by kind, counters
local kinds = ARGV
local t, ready = now(), call('HGETALL', 'f:ready')
local quarantined, seen = {}, {}
for x = 1, #ready, 2 do
  local model = string.match(ready[x], '^(.*):')
  if not seen[model] then
    seen[model] = true
    quarantined[#quarantined + 1] = model
    quarantined[#quarantined + 1] = call('ZCARD', 'f:solo:' .. model)
  end
end

local held, leased = {}, {}
for _, token in ipairs(call('ZRANGE', 'f:lease', 0, -1)) do
  local model = call('HGET', 'f:g:' .. token, 'm')
  held[model] = (held[model] or 0) + call('HLEN', 'f:g:' .. token) - 2
end
for model, k in pairs(held) do
  leased[#leased + 1] = model
  leased[#leased + 1] = k
end

local due = {}
for x, kind in ipairs(kinds) do
  due[x] = 0
  for _, lane in ipairs(LANES) do
    local desk = 'f:desk:' .. kind .. ':' .. lane
    for _, tenant in ipairs(call('ZRANGEBYSCORE', desk, '-inf', '(' .. string.format('%d', t + 1))) do
      due[x] = due[x] + call('ZCOUNT', 'f:due:' .. kind .. ':' .. lane .. ':' .. tenant, '-inf', t)
    end
  end
end
return {call('HGETALL', 'f:count'), ready, quarantined, leased, due, call('HGETALL', 'f:tally')}
