-- take: want lease_ms kind… -> {kind, id, token}, …
drains()
local want, lease_ms, t, taken = tonumber(ARGV[1]), tonumber(ARGV[2]), now(), {}

-- Lanes in order, but every fourth time from below, so that no lane waits for ever: {bulk, normal, …} and {normal, bulk, …}
-- take turns at that, or the middle lane would starve between two full ones.
local function order(turn)
  if turn % 8 == 4 then
    return {LANES[2], LANES[3], LANES[1]}
  elseif turn % 8 == 0 then
    return {LANES[3], LANES[2], LANES[1]}
  end
  return LANES
end

-- The longest waiting entry of the tenant whose turn it is in a lane, leased; nil when nothing is due there.
local function lease(kind, lane)
  local desk = 'f:desk:' .. kind .. ':' .. lane
  for _ = 1, 100 do
    local tenant = call('ZRANGEBYSCORE', desk, '-inf', '(' .. string.format('%d', t + 1), 'LIMIT', 0, 1)[1]
    if not tenant then
      return nil
    end
    local leaf = 'f:due:' .. kind .. ':' .. lane .. ':' .. tenant
    local first = call('ZRANGE', leaf, 0, 0, 'WITHSCORES')
    if first[1] and tonumber(first[2]) <= t then
      local token = call('INCR', 'f:token')
      call('ZADD', leaf, t + lease_ms, first[1])
      call('HSET', 'f:due:token', kind .. ':' .. first[1], string.format('%d', token))
      -- A fraction of the millisecond keeps turns within it in order.
      call('ZADD', desk, t + token % 4096 / 4096, tenant)
      seat(kind, lane, tenant, t)
      return {kind, first[1], string.format('%d', token)}
    end
    seat(kind, lane, tenant, t)
  end
end

local function next_of(kind)
  for _, lane in ipairs(order(number(call('HGET', 'f:takes', kind)) + 1)) do
    local task = lease(kind, lane)
    if task then
      call('HINCRBY', 'f:takes', kind, 1)
      return task
    end
  end
end

for x = 3, #ARGV do
  while #taken < want do
    local task = next_of(ARGV[x])
    if not task then
      break
    end
    taken[#taken + 1] = task
  end
end
return taken
