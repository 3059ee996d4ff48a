-- take: want lease_ms express(1|0), kind… -> {kind, id, token}, …
--
-- Lanes come before kinds: an interactive job is assembled before the rest of a bulk batch is planned. Within a lane each
-- kind in turn is the first, so that neither planning nor assembling waits until the other has nothing to do.
local want, lease_ms, express = unpack(ARGV, 1, 3)
want, express = tonumber(want), express == '1'
drains()
local t, kinds, taken = now(), {unpack(ARGV, 4)}, {}

-- The order of the lanes. Every fourth take begins with a low lane, so that no lane waits for ever: with bulk and with
-- normal in turn, because the middle lane would starve between two full ones.
local function order(turn)
  if express then
    return {LANES[1]}
  elseif turn % 8 == 4 then
    return {LANES[2], LANES[3], LANES[1]}
  elseif turn % 8 == 0 then
    return {LANES[3], LANES[2], LANES[1]}
  end
  return LANES
end

-- Leases the longest waiting entry of the tenant whose turn it is in a lane; nil when nothing is due there.
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
      -- Turns within one millisecond stay in order by a fraction of it.
      call('ZADD', desk, t + token % 4096 / 4096, tenant)
      reindex_due(kind, lane, tenant, t)
      return {kind, first[1], string.format('%d', token)}
    end
    reindex_due(kind, lane, tenant, t)
  end
end

local function next_of(turn)
  for _, lane in ipairs(order(turn)) do
    for x = 0, #kinds - 1 do
      local task = lease(kinds[(turn + x) % #kinds + 1], lane)
      if task then
        return task
      end
    end
  end
end

local turn = number(call('HGET', 'f:takes', kinds[1])) + 1
while #taken < want do
  local task = next_of(turn)
  if not task then
    break
  end
  taken[#taken + 1] = task
  turn = call('HINCRBY', 'f:takes', kinds[1], 1) + 1
end
return taken
