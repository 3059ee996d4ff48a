-- Timed work: what is due when, who has leased it, and the index by which tenants take turns.

-- The lane and tenant that an id of timed work belongs to. Deliveries are "<owner>.<end>", and batches go by bulk.
local function lane_and_tenant(kind, id)
  if kind == 'draft' then
    return 'bulk', ''
  end
  local owner = kind == 'deliver' and string.match(id, '^(.*)%.%d+$') or id
  local job = call('HMGET', 'f:j:' .. owner, 'lane', 'tenant')
  if job[1] then
    return job[1], job[2]
  end
  return 'bulk', call('HGET', 'f:b:' .. owner, 'tenant')
end

-- Puts a tenant where it belongs on the desk after its entries changed. Its last turn is not after now, so a later score
-- was the due time of an entry, and now stands for a turn that is forgotten.
local function reindex_due(kind, lane, tenant, t)
  local desk, leaf = 'f:desk:' .. kind .. ':' .. lane, 'f:due:' .. kind .. ':' .. lane .. ':' .. tenant
  local first = call('ZRANGE', leaf, 0, 0, 'WITHSCORES')
  if not first[1] then
    call('ZREM', desk, tenant)
    return
  end
  local due, turn = tonumber(first[2]), tonumber(call('ZSCORE', desk, tenant) or 0)
  if turn >= t + 1 then
    turn = t
  end
  call('ZADD', desk, math.max(due, turn), tenant)
end

-- Due at `at`, whatever it was before; whoever had leased it is late from now on.
local function schedule(kind, id, at, t)
  local lane, tenant = lane_and_tenant(kind, id)
  call('ZADD', 'f:due:' .. kind .. ':' .. lane .. ':' .. tenant, at, id)
  call('HDEL', 'f:due:token', kind .. ':' .. id)
  reindex_due(kind, lane, tenant, t)
end

local function unschedule(kind, id, t)
  local lane, tenant = lane_and_tenant(kind, id)
  if call('ZREM', 'f:due:' .. kind .. ':' .. lane .. ':' .. tenant, id) == 1 then
    call('HDEL', 'f:due:token', kind .. ':' .. id)
    reindex_due(kind, lane, tenant, t)
  end
end

-- What lies in storage for an id that is accepted now is a draft no longer. False when it was, or is being, taken away.
local function claim_draft(id, t)
  local there = call('ZSCORE', 'f:due:draft:bulk:', id) and call('HEXISTS', 'f:due:token', 'draft:' .. id) == 0
  if there then
    unschedule('draft', id, t)
  end
  return there
end

local function holds(kind, id, token)
  return call('HGET', 'f:due:token', kind .. ':' .. id) == token
end

local function forget_deliveries(owner, t)
  for _, k in ipairs(call('HKEYS', 'f:w:' .. owner)) do
    unschedule('deliver', owner .. '.' .. k, t)
  end
  call('DEL', 'f:w:' .. owner)
end
