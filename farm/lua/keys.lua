-- The keyspace, and what the verbs share. Every verb runs as this file followed by its own.
--
--   f:schema                       string  version of this keyspace
--   f:born                         string  its birth mark, a random id: another one is another farm, or this one emptied
--   f:synced                       string  empty; written so that there is a write to wait for until it is on disk
--   f:j:<job>                      hash    the job: status, counters, times. No value over 64 bytes: a single longer one
--                                          takes the hash from 0.5 kB to more than 2 kB
--   f:b:<batch>                    hash    the batch: jobs per status, sums of its jobs' counters, times
--   f:s:<id>                       string  spec of a job or batch, opaque to the store
--   f:o:<job>                      string  outcome: the result, or the error
--   f:text:<job>                   string  a short accepted text, until it is planned
--   f:r:<job> f:d:<job> f:c:<job>  string  a bit per segment: ready, done, found in storage; gone when the job ends
--   f:a:<job>                      hash    segment -> attempts lost, or "x" and the error of a dead one; gone when it ends
--   f:list:<tenant>                zset    job -> when it was accepted
--   f:lines:<batch>                zset    job -> its line in the batch
--   f:w:<owner>                    hash    outbox: number of the end -> event, space, the deliverer's record
--   f:idem:<digest>                string  idempotency key -> id, space, request digest; with a holder instead of an id
--                                          while reserved
--   f:count                        hash    status -> jobs
--   f:ev                           stream  the latest changes: o(wner), s(tatus)
--
--   f:ready                        hash    <model>:<lane> -> ready segments
--   f:turns:<model>                hash    segments that a waiting lane is owed, and the sequence of turns
--   f:ring:<model>:<lane>          zset    tenant -> sequence of its last turn
--   f:jobs:<model>:<lane>:<tenant> zset    job -> sequence of its last turn
--   f:load:<model>                 hash    <lane>:<tenant> -> ready segments
--   f:solo:<model>                 zset    suspects, <job>:<segment>: their workers died, so each is claimed alone
--   f:lease                        zset    token -> when it expires
--   f:g:<token>                    hash    grant: w(orker), m(odel), and <job>:<segment> -> "1" once begun, "" before
--   f:swept                        string  when expired leases were last looked for
--   f:token                        string  counter of tokens
--
--   f:due:<kind>:<lane>:<tenant>   zset    timed work -> when it is due; leasing it moves that forward
--                                          (drafts, which belong to nobody yet: lane "bulk", tenant "")
--   f:desk:<kind>:<lane>           zset    tenant -> the later of its earliest due time and its last turn
--   f:due:token                    hash    <kind>:<id> -> token of whoever leased it
--   f:takes                        hash    first of the kinds that are taken together -> how many were taken
--
--   f:voices:<tenant> f:keys f:models f:beats hash; f:alive zset worker -> when its heartbeat ends; f:lock:<name> string
--
-- A job's status is in `f:j`; a segment is ready (bit), done (bit), dead ("x"), suspect (solo), and leased when none of these.
-- Every verb checks first and writes after, because Lua does not roll back. MOVES, LANES and SOLO_AFTER come from
-- farm/job.py.

local call = redis.call

-- The last argument of every call is the birth mark of the keyspace that its caller opened. "" is any.
local born = table.remove(ARGV)
if born ~= '' and call('GET', 'f:born') ~= born then
  return redis.error_reply('REPLACED the keyspace is not the one that was opened')
end

-- Milliseconds by the clock of Redis: the only clock that leases and due times know.
local function now()
  local time = call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function number(value)
  return tonumber(value) or 0
end

-- Redis at maxmemory refuses a script at its first write that may need memory, but not after a write that needs none.
-- Verbs that drain the farm begin with this one, so that a full Redis can empty itself.
local function drains()
  call('DEL', 'f:none')
end

local function event(owner, status)
  call('XADD', 'f:ev', 'MAXLEN', '~', 100000, '*', 'o', owner, 's', status)
end

-- Timed work ----------------------------------------------------------------------------------------------------------

-- The lane and tenant that an id of timed work belongs to. Deliveries are "<owner>.<end>", and batches go by bulk.
local function home(kind, id)
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
local function seat(kind, lane, tenant, t)
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
local function arm(kind, id, at, t)
  local lane, tenant = home(kind, id)
  call('ZADD', 'f:due:' .. kind .. ':' .. lane .. ':' .. tenant, at, id)
  call('HDEL', 'f:due:token', kind .. ':' .. id)
  seat(kind, lane, tenant, t)
end

local function disarm(kind, id, t)
  local lane, tenant = home(kind, id)
  if call('ZREM', 'f:due:' .. kind .. ':' .. lane .. ':' .. tenant, id) == 1 then
    call('HDEL', 'f:due:token', kind .. ':' .. id)
    seat(kind, lane, tenant, t)
  end
end

-- What lies in storage for an id that is accepted now is a draft no longer. False when it was, or is being, taken away.
local function adopt(id, t)
  local there = call('ZSCORE', 'f:due:draft:bulk:', id) and call('HEXISTS', 'f:due:token', 'draft:' .. id) == 0
  if there then
    disarm('draft', id, t)
  end
  return there
end

local function holds(kind, id, token)
  return call('HGET', 'f:due:token', kind .. ':' .. id) == token
end

-- Jobs and batches ----------------------------------------------------------------------------------------------------

-- Adds to a counter of a job's batch, while there is a record of it.
local function tally(batch, field, k)
  if batch and k ~= 0 and call('EXISTS', 'f:b:' .. batch) == 1 then
    call('HINCRBY', 'f:b:' .. batch, field, k)
  end
end

-- Counts an end of a job or batch and, where its webhook wants to know, leaves a delivery in the outbox.
local function conclude(key, owner, what, wanted, t)
  local ends = call('HINCRBY', key .. owner, 'ends', 1)
  if wanted then
    call('HSET', 'f:w:' .. owner, ends, what .. ' {}')
    arm('deliver', owner .. '.' .. ends, t, t)
  end
end

local function complete_batch(batch, t)
  local record = call('HMGET', 'f:b:' .. batch, 'webhook', 'keep')
  call('HSET', 'f:b:' .. batch, 'completed', t)
  event(batch, 'completed')
  arm('purge', batch, t + record[2] * 1000, t)
  conclude('f:b:', batch, 'completed', record[1] == '1', t)
end

local function move_in_batch(batch, from, to, verb, t)
  local key = 'f:b:' .. batch
  call('HINCRBY', key, from, -1)
  call('HINCRBY', key, to, 1)
  if MOVES.cancel[from] and not MOVES.cancel[to] then
    if call('HINCRBY', key, 'ended', 1) == tonumber(call('HGET', key, 'total')) then
      complete_batch(batch, t)
    end
  elseif verb == 'retry' then
    call('HINCRBY', key, 'ended', -1)
    if call('HDEL', key, 'completed') == 1 then
      disarm('purge', batch, t)
    end
  end
end

-- Every change of a job's status passes here. The verb has checked that MOVES has it.
local function move(job, verb, t)
  local record = call('HMGET', 'f:j:' .. job, 'status', 'batch')
  local from, batch = record[1], record[2]
  local to = MOVES[verb][from]
  call('HSET', 'f:j:' .. job, 'status', to)
  call('HINCRBY', 'f:count', from, -1)
  call('HINCRBY', 'f:count', to, 1)
  event(job, to)
  if batch and call('EXISTS', 'f:b:' .. batch) == 1 then
    move_in_batch(batch, from, to, verb, t)
  end
end

-- Where a job's segments queue.
local function place_of(job)
  local record = call('HMGET', 'f:j:' .. job, 'model', 'lane', 'tenant')
  local at = {model = record[1], lane = record[2], tenant = record[3]}
  at.ring = 'f:ring:' .. at.model .. ':' .. at.lane
  at.jobs = 'f:jobs:' .. at.model .. ':' .. at.lane .. ':' .. at.tenant
  return at
end

-- k more segments of a job are ready; with a negative k, fewer.
local function shift(job, at, k)
  local left = call('HINCRBY', 'f:j:' .. job, 'ready', k)
  call('HINCRBY', 'f:ready', at.model .. ':' .. at.lane, k)
  call('HINCRBY', 'f:load:' .. at.model, at.lane .. ':' .. at.tenant, k)
  if left > 0 then
    local turn = call('HINCRBY', 'f:turns:' .. at.model, 'sequence', 1)
    call('ZADD', at.jobs, 'NX', turn, job)
    call('ZADD', at.ring, 'NX', turn, at.tenant)
  else
    call('ZREM', at.jobs, job)
    if call('EXISTS', at.jobs) == 0 then
      call('ZREM', at.ring, at.tenant)
      call('HDEL', 'f:load:' .. at.model, at.lane .. ':' .. at.tenant)
    end
  end
end

-- An open job ends: nothing of its work stays behind, its webhook is told, and it is due to expire.
local function close(job, verb, t)
  local record = call('HMGET', 'f:j:' .. job, 'ready', 'keep', 'events')
  local at = place_of(job)
  if number(record[1]) > 0 then
    shift(job, at, -record[1])
  end
  for _, segment in ipairs(call('HKEYS', 'f:a:' .. job)) do
    call('ZREM', 'f:solo:' .. at.model, job .. ':' .. segment)
  end
  call('DEL', 'f:r:' .. job, 'f:d:' .. job, 'f:c:' .. job, 'f:a:' .. job)
  disarm('plan', job, t)
  disarm('assemble', job, t)
  call('HSET', 'f:j:' .. job, 'ended', t)
  move(job, verb, t)
  arm('expire', job, t + record[2] * 1000, t)
  local status = call('HGET', 'f:j:' .. job, 'status')
  local wanted = record[3] and string.find(',' .. record[3] .. ',', ',' .. status .. ',', 1, true)
  conclude('f:j:', job, status, wanted, t)
end

-- Makes a running job due for assembly once each of its segments is done or dead.
local function complete(job, t)
  local record = call('HMGET', 'f:j:' .. job, 'status', 'total', 'done', 'dead')
  if MOVES.complete[record[1]] and tonumber(record[2]) == record[3] + record[4] then
    move(job, 'complete', t)
    arm('assemble', job, t, t)
  end
end

-- Grants --------------------------------------------------------------------------------------------------------------

-- "<job>:<segment>" -> job, segment; nil for the grant's own fields
local function split(field)
  return string.match(field, '^(.*):(%d+)$')
end

-- What a grant holds: job -> {segments = all of them, begun = {…}, waiting = {…}}, each in order.
local function held_by(token)
  local jobs = {}
  local flat = call('HGETALL', 'f:g:' .. token)
  for x = 1, #flat, 2 do
    local job, segment = split(flat[x])
    if job then
      local held = jobs[job] or {segments = {}, begun = {}, waiting = {}}
      jobs[job] = held
      table.insert(held.segments, segment)
      table.insert(flat[x + 1] == '1' and held.begun or held.waiting, segment)
    end
  end
  return jobs
end

-- A grant without segments is over.
local function drop_if_empty(token)
  if call('HLEN', 'f:g:' .. token) <= 2 then
    call('DEL', 'f:g:' .. token)
    call('ZREM', 'f:lease', token)
  end
end

-- Every grant loses its segments of a job. Those that were overtaken by a late settle, or by cancel and retry, would
-- otherwise give back what another worker holds by then.
local function strip(job)
  local prefix = job .. ':'
  for _, token in ipairs(call('ZRANGE', 'f:lease', 0, -1)) do
    local gone = {}
    for _, field in ipairs(call('HKEYS', 'f:g:' .. token)) do
      if string.find(field, prefix, 1, true) == 1 then
        gone[#gone + 1] = field
      end
    end
    if #gone > 0 then
      call('HDEL', 'f:g:' .. token, unpack(gone))
      drop_if_empty(token)
    end
  end
end

-- Of these segments, those that still have to be rendered.
local function unsettled(job, segments)
  local open = {}
  if call('HGET', 'f:j:' .. job, 'status') == 'running' then
    for _, segment in ipairs(segments) do
      if call('GETBIT', 'f:d:' .. job, segment) == 0 then
        open[#open + 1] = segment
      end
    end
  end
  return open
end

-- Segments of a running job are ready again; a suspect stays one, whose next worker must not have it beside others.
-- Returns how many.
local function give_back(job, segments)
  if #segments == 0 then
    return 0
  end
  local ready, solo, at = 0, 0, place_of(job)
  local lost = call('HMGET', 'f:a:' .. job, unpack(segments))
  for x, segment in ipairs(segments) do
    if number(lost[x]) >= SOLO_AFTER then
      local turn = call('HINCRBY', 'f:turns:' .. at.model, 'sequence', 1)
      solo = solo + call('ZADD', 'f:solo:' .. at.model, 'NX', turn, job .. ':' .. segment)
    elseif call('SETBIT', 'f:r:' .. job, segment, 1) == 0 then
      ready = ready + 1
    end
  end
  if ready > 0 then
    shift(job, at, ready)
  end
  return ready + solo
end

-- Each of these segments of a running job lost one attempt: ready again, a suspect, or dead.
local function strike(job, segments, message, max_attempts, t)
  local record = call('HMGET', 'f:j:' .. job, 'batch', 'skip')
  local batch, skip = record[1], record[2]
  local again = {}
  for _, segment in ipairs(segments) do
    local lost = call('HINCRBY', 'f:a:' .. job, segment, 1)
    if lost >= max_attempts then
      call('HSET', 'f:a:' .. job, segment, 'x' .. message)
      call('HINCRBY', 'f:j:' .. job, 'dead', 1)
      tally(batch, 'dead', 1)
      if not skip then
        local outcome = {code = 'segment_failed', segment = tonumber(segment), message = message}
        call('SET', 'f:o:' .. job, cjson.encode(outcome))
        close(job, 'abort', t)
        return
      end
    else
      again[#again + 1] = segment
    end
  end
  give_back(job, again)
  complete(job, t)
end

-- Idempotency keys ----------------------------------------------------------------------------------------------------

-- What a key ("" for none) was used for, as an answer to the caller; nil when it is free. A key whose job or batch was
-- deleted is free again.
local function idempotent(key, digest)
  local value = key ~= '' and call('GET', 'f:idem:' .. key)
  if not value then
    return nil
  end
  local id, used = string.match(value, '^(%S*) (.*)$')
  local reserved = string.sub(id, 1, 1) == '?'
  if not reserved and call('EXISTS', 'f:j:' .. id, 'f:b:' .. id) == 0 then
    return nil
  end
  if used ~= digest then
    return {'reused'}
  end
  return not reserved and {'again', id} or nil
end

local function remember(key, id, digest, ttl_ms)
  if key ~= '' then
    call('SET', 'f:idem:' .. key, id .. ' ' .. digest, 'PX', ttl_ms)
  end
end

-- Records -------------------------------------------------------------------------------------------------------------

local function record_of(job)
  return {job, call('HGETALL', 'f:j:' .. job), call('GET', 'f:s:' .. job), call('GET', 'f:o:' .. job)}
end

local function forget_deliveries(owner, t)
  for _, k in ipairs(call('HKEYS', 'f:w:' .. owner)) do
    disarm('deliver', owner .. '.' .. k, t)
  end
  call('DEL', 'f:w:' .. owner)
end
