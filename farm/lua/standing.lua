-- standing: tenant -> standing, segments in hand, jobs under way, the most segments or nothing, the most jobs or nothing,
--                    the highest lane or nothing
local tenant = unpack(ARGV)
local t, held, flat = now(), 0, call('HGETALL', 'f:held:' .. tenant)
for x = 1, #flat, 2 do
  if call('ZSCORE', 'f:lease', flat[x]) then
    held = held + flat[x + 1]
  end
end
local most = call('HMGET', 'f:quota:' .. tenant, 'most_segments', 'most_running_jobs')
return {told(standing_of(tenant, t), t), held, call('SCARD', 'f:running:' .. tenant), most[1], most[2], call('HGET', 'f:lanes', tenant)}
