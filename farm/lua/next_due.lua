-- next_due: kind… -> milliseconds until the earliest entry of each is due, nothing where there is none
local kinds = ARGV
local t, waits = now(), {}
for x, kind in ipairs(kinds) do
  waits[x] = false
  for _, lane in ipairs(LANES) do
    local first = call('ZRANGE', 'f:desk:' .. kind .. ':' .. lane, 0, 0, 'WITHSCORES')[2]
    if first then
      local wait = math.max(math.floor(first) - t, 0)
      waits[x] = waits[x] and math.min(waits[x], wait) or wait
    end
  end
end
return waits
