-- rescue: lease_ms limit -> segments, leases, grace(1|0)
local lease_ms, limit = unpack(ARGV)
lease_ms = tonumber(lease_ms)
drains()
local t = now()
local swept = tonumber(call('GET', 'f:swept') or t)
call('SET', 'f:swept', string.format('%d', t))

-- The grace. Keepers sweep every second. When none has swept for longer than a lease, either Redis was away or every worker
-- was, and a script can't tell which. If Redis was away, no holder could renew its lease, and the holders may be well. So
-- every lease is extended by one lease, and nothing is taken back. If the workers were away, their segments come back one
-- lease later than after a death beside living workers.
if t - swept > lease_ms then
  local leases = call('ZRANGE', 'f:lease', 0, -1)
  for _, token in ipairs(leases) do
    call('ZADD', 'f:lease', 'GT', t + lease_ms, token)
  end
  return {0, #leases, 1}
end

local expired, segments = call('ZRANGEBYSCORE', 'f:lease', '-inf', t, 'LIMIT', 0, limit), 0
local leases = 0
for _, token in ipairs(expired) do
  if segments >= RESCUED_AT_ONCE then
    break
  end
  leases = leases + 1
  for job, held in pairs(held_by(token)) do
    local waiting, begun = unsettled(job, held.waiting), unsettled(job, held.begun)
    segments = segments + #waiting + #begun
    give_back(job, waiting)
    if #begun > 0 then
      count_losses(job, begun, 'worker lost', t)
    end
    let_go(token, call('HGET', 'f:j:' .. job, 'tenant'), #held.segments)
  end
  call('DEL', 'f:g:' .. token)
  call('ZREM', 'f:lease', token)
end
count_up(segments, 'rescued')
return {segments, leases, 0}
