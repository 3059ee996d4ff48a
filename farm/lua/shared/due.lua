-- Timed work: due times, leases on it, and the index by which tenants take turns. `t` is the time of the call.

-- The lane and tenant of an id of timed work. The id of a delivery is "<owner>.<end>", that of a passage "<job>.<number>",
-- that of an earlier revision "<job>.<number>" too, that of a sweep a tenant, that of a document "<document>.<tenant>". A batch waits in the bulk lane.
local function lane_and_tenant(kind, id)
  if kind == 'draft' then
    return 'bulk', ''
  end
  if kind == 'sweep' then
    return 'bulk', id
  end
  if kind == 'document' then
    return 'bulk', string.match(id, '^[^.]*%.(.*)$')
  end
  local numbered = kind == 'deliver' or kind == 'passage' or kind == 'retire'
  local owner = numbered and string.match(id, '^(.*)%.%d+$') or id
  local job = call('HMGET', 'f:j:' .. owner, 'lane', 'tenant')
  if job[1] then
    return job[1], job[2]
  end
  return 'bulk', call('HGET', 'f:b:' .. owner, 'tenant')
end

-- Brings a tenant's score in f:desk up to date after a change of its entries: the later of its earliest due time and its
-- latest turn. The score may have been either. A turn never lies in the future, so a score in the future was a due time;
-- then the latest turn is unknown, and `t` takes its place.
local function reindex_due(kind, lane, tenant, t)
  local desk, leaf = 'f:desk:' .. kind .. ':' .. lane, 'f:due:' .. kind .. ':' .. lane .. ':' .. tenant
  local first = call('ZRANGE', leaf, 0, 0, 'WITHSCORES')
  if not first[1] then
    call('ZREM', desk, tenant)
    return
  end
  local before = tonumber(call('ZSCORE', desk, tenant)) -- nil for none
  local turn = before and (before >= t + 1 and t or before) or 0
  local score = math.max(tonumber(first[2]), turn)
  if score ~= before then
    call('ZADD', desk, score, tenant)
  end
end

-- Makes an id due that has no lease.
local function put_due(kind, lane, tenant, id, at, t)
  call('ZADD', 'f:due:' .. kind .. ':' .. lane .. ':' .. tenant, at, id)
  reindex_due(kind, lane, tenant, t)
end

-- Makes an id due at `at`, in place of an earlier due time. The holder of an earlier lease is late from now on.
local function schedule(kind, id, at, t)
  local lane, tenant = lane_and_tenant(kind, id)
  put_due(kind, lane, tenant, id, at, t)
  call('HDEL', 'f:due:token', kind .. ':' .. id)
end

local function unschedule(kind, id, t)
  local lane, tenant = lane_and_tenant(kind, id)
  if call('ZREM', 'f:due:' .. kind .. ':' .. lane .. ':' .. tenant, id) == 1 then
    call('HDEL', 'f:due:token', kind .. ':' .. id)
    reindex_due(kind, lane, tenant, t)
  end
end

local function is_scheduled(kind, id)
  local lane, tenant = lane_and_tenant(kind, id)
  return call('ZSCORE', 'f:due:' .. kind .. ':' .. lane .. ':' .. tenant, id) ~= false
end

-- The draft of an id becomes the object of an accepted job or batch. False when the desk has removed the draft, or is
-- removing it.
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
