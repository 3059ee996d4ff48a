-- Quotas: what a tenant has in use, and may have at most. A job and a batch note in their own records what they count for,
-- and take back exactly that:
--
--   a job    held        its characters, as long as it has not ended
--            records     bytes of its records in Redis. Jobs of releases before quotas have none of these fields, and count for
--                        nothing until `recount` has met them
--            bytes       the same, and its bytes in storage. Of these: planned (its plan), result (what assembly made)
--   a batch  records, bytes of its own; and of its lines that are no jobs yet: held, lines (bytes in Redis), texts (in storage)

local function use(tenant, characters, bytes, records)
  local key = 'f:quota:' .. tenant
  if characters ~= 0 then
    call('HINCRBY', key, 'characters', characters)
  end
  if bytes ~= 0 then
    call('HINCRBY', key, 'bytes', bytes)
  end
  if records ~= 0 then
    call('HINCRBY', key, 'records', records)
  end
end

-- What a tenant has and may have: requests, characters, bytes, records; the limit of each, -1 for none; the time from which
-- requests are counted.
local function standing_of(tenant, t)
  local s = call('HMGET', 'f:quota:' .. tenant, 'requests', 'characters', 'bytes', 'records',
    'most_requests', 'most_characters', 'most_bytes', 'most_records', 'since')
  local closed
  for x = 1, 4 do
    s[x], s[4 + x] = number(s[x]), tonumber(s[4 + x])
    if not s[4 + x] then
      if closed == nil then
        closed = call('EXISTS', 'f:closed', 'f:keys') > 0
      end
      s[4 + x] = closed and DEFAULT_QUOTAS[x] or -1
    end
  end
  s[9] = number(s[9])
  if t >= s[9] + MINUTE_MS then
    s[1], s[9] = 0, t
  end
  return s
end

-- The standing as callers get it, with the milliseconds that are left of the minute.
local function told(s, t)
  return {s[1], s[2], s[3], s[4], s[5], s[6], s[7], s[8], s[9] + MINUTE_MS - t}
end

-- The standing of a tenant after one more request with so much; or nothing and the answer that refuses the request. Writes
-- nothing.
local function admit(tenant, characters, bytes, records, t)
  local s, more, violated = standing_of(tenant, t), {1, tonumber(characters), bytes, records}, {}
  for x = 1, 4 do
    if more[x] > 0 and s[4 + x] >= 0 and s[x] + more[x] > s[4 + x] then
      violated[#violated + 1] = x
    end
  end
  if #violated > 0 then
    return nil, {'quota', told(s, t), more, violated}
  end
  for x = 1, 4 do
    s[x] = s[x] + more[x]
  end
  return s
end

local function count_request(tenant, s)
  call('HSET', 'f:quota:' .. tenant, 'requests', s[1], 'characters', s[2], 'bytes', s[3], 'records', s[4], 'since', s[9])
end

-- Counts a request that opens an ended job again, for so much more. A job of a release before quotas does not note that.
local function count_reopening(job, tenant, standing, characters, bytes, records)
  local key = 'f:j:' .. job
  count_request(tenant, standing)
  call('HSET', key, 'held', characters)
  if call('HEXISTS', key, 'records') == 0 then
    use(tenant, 0, -bytes, -records)
  else
    call('HINCRBY', key, 'bytes', bytes)
    call('HINCRBY', key, 'records', records)
  end
end

-- The bytes in Redis of a new job or batch.
local function record_bytes(spec, text, events)
  return RECORD_BYTES + #spec + #text + (events ~= '' and END_BYTES or 0)
end

-- Counts what a job has stored since, or no longer has. `counted` is the `records` field of the job.
local function grow_counted(job, tenant, counted, bytes, records)
  if not counted then
    return
  end
  if bytes ~= 0 then
    call('HINCRBY', 'f:j:' .. job, 'bytes', bytes)
  end
  if records ~= 0 then
    call('HINCRBY', 'f:j:' .. job, 'records', records)
  end
  use(tenant, 0, bytes, records)
end

local function grow(job, bytes, records)
  local record = call('HMGET', 'f:j:' .. job, 'tenant', 'records')
  grow_counted(job, record[1], record[2], bytes, records)
end

-- A record that counts for its bytes, as a document or a lexicon does: its bytes, a blank, and what is opaque to the store.
local function bytes_of(stored)
  return number(stored and string.match(stored, '^%d+'))
end

-- Puts such a record into a hash of its tenant: 1. 0 where the hash has `limit` of them already, -1 where it does not have
-- `old` any more (nil: whatever it has), or the answer that refuses the request.
local function put_counted(tenant, key, name, old, record, bytes, limit, t)
  local stored = call('HGET', key, name)
  if old and (stored or '') ~= old then
    return -1
  end
  if not stored and call('HLEN', key) >= tonumber(limit) then
    return 0
  end
  local standing, refusal = admit(tenant, 0, bytes - bytes_of(stored), 0, t)
  if refusal then
    return refusal
  end
  count_request(tenant, standing)
  call('HSET', key, name, bytes .. ' ' .. record)
  return 1
end

-- Drops one. Returns what it was, false where there was none.
local function drop_counted(tenant, key, name)
  local stored = call('HGET', key, name)
  if stored then
    drains()
    use(tenant, 0, -bytes_of(stored), 0)
    call('HDEL', key, name)
  end
  return stored
end

-- What is left of a batch's lines counts no longer: all of them are jobs, or will never be.
local function release_lines(batch, tenant)
  local key = 'f:b:' .. batch
  local rest = call('HMGET', key, 'held', 'lines', 'texts')
  if rest[1] then
    use(tenant, -rest[1], -rest[2] - rest[3], -rest[2])
    call('HDEL', key, 'held', 'lines', 'texts')
  end
end
