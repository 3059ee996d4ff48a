-- claim: model want worker lease_ms express(1|0) -> token, quarantined(1|0), job, its revision, {segments}, job, … | nothing
--
-- Lanes: a waiting lane is owed every segment that is claimed from a lane above it. Once it is owed SHARE turns, it gets
-- one. So a waiting lane gets at least one of SHARE + 1 turns, and a lane above it waits for one turn at most.
-- Tenants: a turn is TURN segments, from as many of the tenant's jobs as necessary. A tenant that has as many segments in hand
-- as it may have is passed over, and so is one that has as many jobs under way as it may have, unless one of these is ready
-- in the lane. A lane whose tenants all are passed over waits for no turn.
-- Quarantine: a quarantined segment is claimed alone, by every second claim, or where nothing else can be claimed. Where its
-- tenant is passed over, the segment keeps its place. One claim reads the first part of a long quarantine and one further
-- part, which changes with the time. So a claim stays short, and a tenant that is passed over hides no other for ever.
local model, want, worker, lease_ms, express = unpack(ARGV)
want, express = tonumber(want), express == '1'
local turns, quarantine = 'f:turns:' .. model, 'f:solo:' .. model
local PART = 100 -- quarantined segments

local ready, owed = {}, {}
local counts = call('HMGET', 'f:ready', model .. ':' .. LANES[1], model .. ':' .. LANES[2], model .. ':' .. LANES[3])
local state = call('HMGET', turns, LANES[1], LANES[2], LANES[3], 'sequence', 'solo')
for lane = 1, 3 do
  ready[lane], owed[lane] = number(counts[lane]), number(state[lane])
end
local sequence, solo = number(state[4]), number(state[5])
local held_back, passed = {}, {0, 0, 0} -- lanes; tenants at the head of each ring that are passed over

local function waits(lane)
  return ready[lane] > 0 and not held_back[lane]
end

-- The lane whose turn it is; nil when no lane has a ready segment.
local function choose()
  for lane = 3, 2, -1 do
    if not express and waits(lane) and owed[lane] >= SHARE * TURN then
      return lane
    end
  end
  for lane = 1, express and 1 or 3 do
    if waits(lane) then
      return lane
    end
  end
end

if express then
  for lane = 2, 3 do
    if ready[lane] > 0 then
      want = math.min(want, SHARE * TURN - owed[lane])
    end
  end
end
local quarantined = not express and call('ZCARD', quarantine) > 0
if want <= 0 or not (quarantined or choose()) then
  return {}
end

drains()
local t, token = now(), string.format('%d', call('INCR', 'f:token'))
local grant, answer = {'HSET', 'f:g:' .. token, 'w', worker, 'm', model}, {token, 0}
local entries = {} -- of the jobs in the answer
local waited = {} -- of the jobs that begin with this claim, by lane: how many in each bucket of the histogram, and their sum
local room, counted = {}, {} -- of tenants: segments that they may have more; those of this grant, where there is a limit
local job_room = {} -- of tenants: jobs that they may have more under way
local limits = {}

-- The most segments that a tenant may have in hand, and the most jobs under way.
local function limits_of(tenant)
  limits[tenant] = limits[tenant] or call('HMGET', 'f:quota:' .. tenant, 'most_segments', 'most_running_jobs')
  return limits[tenant]
end

-- How many more segments a tenant may have in hand.
local function room_of(tenant)
  if not room[tenant] then
    local most = limits_of(tenant)[1]
    room[tenant] = math.huge
    if most then
      local key, sum = 'f:held:' .. tenant, 0
      local flat = call('HGETALL', key)
      for x = 1, #flat, 2 do
        if call('ZSCORE', 'f:lease', flat[x]) then
          sum = sum + flat[x + 1]
        else
          call('HDEL', key, flat[x])
        end
      end
      room[tenant], counted[tenant] = most - sum, 0
    end
  end
  return room[tenant]
end

local function hold(tenant, k)
  room[tenant] = room_of(tenant) - k
  if counted[tenant] then
    counted[tenant] = counted[tenant] + k
  end
end

local function job_room_of(tenant)
  if not job_room[tenant] then
    local most = limits_of(tenant)[2]
    job_room[tenant] = most and most - call('SCARD', 'f:running:' .. tenant) or math.huge
  end
  return job_room[tenant]
end

-- The job of a tenant that waits longest, of those that may be handed out. `jobs` is the key of their turns.
local function next_job(tenant, jobs)
  if job_room_of(tenant) > 0 then
    return call('ZRANGE', jobs, '0', '0')[1]
  end
  return call('ZINTER', 2, jobs, 'f:running:' .. tenant, 'WEIGHTS', 1, 0)[1]
end

local function note_wait(lane, ms)
  local counts, bucket = waited[lane] or {ms = 0}, bucket_of(ms)
  waited[lane] = counts
  counts.ms, counts[bucket] = counts.ms + ms, (counts[bucket] or 0) + 1
end

-- A job of the answer: `segments` are those that are handed out, `ready` the number of those that are left, `began` says
-- whether the job begins with this claim. That of a quarantined segment began before, and comes without a lane.
local function entry_of(job, tenant, lane)
  local entry = entries[job]
  if not entry then
    local record = call('HMGET', 'f:j:' .. job, 'created', 'ready', 'started', 'revision', 'ends')
    entry = {segments = {}, ready = number(record[2]), began = not record[3]}
    entries[job] = entry
    job_room[tenant] = job_room_of(tenant) - call('SADD', 'f:running:' .. tenant, job)
    answer[#answer + 1] = job
    answer[#answer + 1] = tonumber(record[4] or 1)
    answer[#answer + 1] = entry.segments
    if lane and entry.began and record[1] and not record[5] then
      note_wait(lane, t - record[1])
    end
  end
  return entry
end

-- Adds segments of one job to the grant and to the answer.
local function hand_out(job, entry, segments)
  local listed, granted, prefix = #entry.segments, #grant, job .. ':'
  for x, segment in ipairs(segments) do
    entry.segments[listed + x] = segment
    grant[granted + 2 * x - 1], grant[granted + 2 * x] = prefix .. string.format('%d', segment), ''
  end
end

-- Writes the grant, its lease and what has become of its jobs, unless the grant is empty.
local function sign()
  if #answer > 2 then
    call(unpack(grant))
    call('ZADD', 'f:lease', t + lease_ms, token)
    for job, entry in pairs(entries) do
      local began = entry.began and {'started', '1'} or {}
      call('HSET', 'f:j:' .. job, 'ready', entry.ready, unpack(began))
    end
    for lane, counts in pairs(waited) do
      for bucket, k in pairs(counts) do
        count_up(k, 'wait', model, lane, bucket)
      end
    end
    for tenant, k in pairs(counted) do
      if k > 0 then
        call('HSET', 'f:held:' .. tenant, token, k)
      end
    end
  end
  return answer
end

-- Hands out the first quarantined segment whose tenant has room. Says whether there is one.
local function hand_out_quarantined()
  local further = t % math.ceil(call('ZCARD', quarantine) / PART)
  for _, part in ipairs(further > 0 and {0, further} or {0}) do
    for _, entry in ipairs(call('ZRANGE', quarantine, part * PART, (part + 1) * PART - 1)) do
      local job, segment = split(entry)
      local tenant = call('HGET', 'f:j:' .. job, 'tenant')
      if not tenant then
        call('ZREM', quarantine, entry)
      elseif room_of(tenant) > 0 then
        call('ZREM', quarantine, entry)
        call('HSET', turns, 'solo', 1)
        hand_out(job, entry_of(job, tenant), {tonumber(segment)})
        hold(tenant, 1)
        answer[2] = 1
        return true
      end
    end
  end
  return false
end

local quarantine_first = quarantined and (solo == 0 or not choose())
if quarantine_first and hand_out_quarantined() then
  return sign()
end

-- Clears up to k ready bits of a job, lowest first, and returns their positions. Eight bytes at a time cost one read and
-- one write.
local function pop(job, k)
  local key, found, from = 'f:r:' .. job, {}, 0
  while #found < k do
    local first = call('BITPOS', key, '1', from)
    if first < 0 then
      break
    end
    from = math.floor(first / 8)
    local bytes = {string.byte(call('GETRANGE', key, from, from + 7), 1, -1)}
    local was_last = #bytes < 8
    for b, byte in ipairs(bytes) do
      local mask, position = 128, (from + b - 1) * 8
      while byte > 0 and #found < k do
        if byte >= mask then
          byte = byte - mask
          found[#found + 1] = position
        end
        mask, position = mask / 2, position + 1
      end
      bytes[b] = string.char(byte)
    end
    call('SETRANGE', key, from, table.concat(bytes))
    if was_last then
      break
    end
  end
  return found
end

-- Gives a turn to the tenant that waits longest in a lane and has room. Returns the number of its segments.
local function serve(lane)
  local place = model .. ':' .. LANES[lane]
  local ring = 'f:ring:' .. place
  local tenant, jobs, job
  repeat
    tenant = call('ZRANGE', ring, passed[lane], passed[lane])[1]
    if tenant then
      jobs = 'f:jobs:' .. place .. ':' .. tenant
      job = room_of(tenant) > 0 and next_job(tenant, jobs)
      passed[lane] = passed[lane] + (job and 0 or 1)
    end
  until job or not tenant
  if not tenant then
    held_back[lane], owed[lane] = passed[lane] > 0, 0
    ready[lane] = held_back[lane] and ready[lane] or 0
    return 0
  end
  local load = LANES[lane] .. ':' .. tenant
  local limit, taken, left = math.min(TURN, want, room_of(tenant)), 0, 0
  while job and taken < limit do
    local segments = pop(job, limit - taken)
    left = 0
    if #segments > 0 then
      local entry = entry_of(job, tenant, LANES[lane])
      entry.ready = entry.ready - #segments
      left, taken = entry.ready, taken + #segments
      hand_out(job, entry, segments)
    end
    sequence = sequence + 1
    if left > 0 then
      call('ZADD', jobs, sequence, job)
    else
      call('ZREM', jobs, job)
    end
    job = taken < limit and next_job(tenant, jobs)
  end
  hold(tenant, taken)
  if left > 0 or call('EXISTS', jobs) == 1 then
    call('ZADD', ring, sequence, tenant)
    call('HINCRBY', 'f:load:' .. model, load, -taken)
  else
    call('ZREM', ring, tenant)
    call('HDEL', 'f:load:' .. model, load)
  end
  return taken
end

local lane = choose()
while lane and want > 0 do
  local taken = serve(lane)
  want, ready[lane] = want - taken, ready[lane] - taken
  owed[lane] = math.max(owed[lane] - SHARE * taken, 0)
  for below = lane + 1, 3 do
    owed[below] = waits(below) and owed[below] + taken or 0
  end
  lane = choose()
end
call('HSET', 'f:ready', model .. ':' .. LANES[1], ready[1], model .. ':' .. LANES[2], ready[2],
  model .. ':' .. LANES[3], ready[3])
call('HSET', turns, LANES[1], owed[1], LANES[2], owed[2], LANES[3], owed[3], 'sequence', sequence)
if quarantined and #answer > 2 then
  call('HSET', turns, 'solo', 0)
elseif quarantined and not quarantine_first then
  hand_out_quarantined()
end
return sign()
