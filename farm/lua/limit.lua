-- limit: tenant, (what value("" as for every tenant))…
-- `what` is a quota, "segments", "running_jobs" or "lane".
local tenant = unpack(ARGV, 1, 1)
drains()
local x = 2
while ARGV[x] do
  local key, field, value = 'f:quota:' .. tenant, 'most_' .. ARGV[x], ARGV[x + 1]
  if ARGV[x] == 'lane' then
    key, field = 'f:lanes', tenant
  end
  if value == '' then
    call('HDEL', key, field)
  else
    call('HSET', key, field, value)
  end
  x = x + 2
end
