-- standing: tenant -> standing, segments in hand, the most segments or nothing, the highest lane or nothing
local tenant = unpack(ARGV)
local t, held, flat = now(), 0, call('HGETALL', 'f:held:' .. tenant)
for x = 1, #flat, 2 do
  if call('ZSCORE', 'f:lease', flat[x]) then
    held = held + flat[x + 1]
  end
end
return {told(standing_of(tenant, t), t), held, call('HGET', 'f:quota:' .. tenant, 'most_segments'), call('HGET', 'f:lanes', tenant)}
