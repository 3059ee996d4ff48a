-- Jobs and batches: their status, their counters, their ends, their records, and idempotency keys.

-- Adds to counters of a job's batch, unless the batch was deleted.
local function tally_all(batch, sums)
  if batch and call('EXISTS', 'f:b:' .. batch) == 1 then
    for field, k in pairs(sums) do
      if k ~= 0 then
        call('HINCRBY', 'f:b:' .. batch, field, k)
      end
    end
  end
end

local function tally(batch, field, k)
  tally_all(batch, {[field] = k})
end

-- Counts an end of a job or batch. A delivery goes to the outbox where the webhook wants this event; of a job that was
-- edited its record says which revision ended. The outbox keeps the
-- latest ENDS_KEPT ends: somebody may cancel and retry a job for ever.
local function record_end(key, owner, what, wanted, t)
  local ends, outbox = call('HINCRBY', key .. owner, 'ends', 1), 'f:w:' .. owner
  if wanted then
    local revision = call('HGET', key .. owner, 'revision')
    call('HSET', outbox, ends, what .. (revision and ' {"revision":' .. revision .. '}' or ' {}'))
    schedule('deliver', owner .. '.' .. ends, t, t)
    if call('HLEN', outbox) > ENDS_KEPT then
      for _, k in ipairs(call('HKEYS', outbox)) do
        if tonumber(k) <= ends - ENDS_KEPT then
          unschedule('deliver', owner .. '.' .. k, t)
          call('HDEL', outbox, k)
        end
      end
    end
  end
end

local function complete_batch(batch, t)
  local record = call('HMGET', 'f:b:' .. batch, 'webhook', 'keep', 'deleted', 'tenant')
  call('HSET', 'f:b:' .. batch, 'completed', t)
  event(batch, 'completed', record[4])
  if record[3] then
    return
  end
  schedule('purge', batch, t + record[2] * 1000, t)
  record_end('f:b:', batch, 'completed', record[1] == '1', t)
end

-- The lines of a stopped batch that are no jobs yet will never be: they count as canceled. Safe to do twice.
local function skip_rest(batch, t)
  local key = 'f:b:' .. batch
  local record = call('HMGET', key, 'total', 'accepted', 'skipped', 'tenant')
  if record[3] then
    return
  end
  drains()
  local total, rest = tonumber(record[1]), record[1] - record[2]
  release_lines(batch, record[4])
  call('HSET', key, 'skipped', rest)
  call('HINCRBY', key, 'canceled', rest)
  if rest > 0 and call('HINCRBY', key, 'ended', rest) == total then
    complete_batch(batch, t)
  end
end

local function move_in_batch(batch, from, to, t)
  local key = 'f:b:' .. batch
  call('HINCRBY', key, from, -1)
  call('HINCRBY', key, to, 1)
  local was_open, is_open = MOVES.cancel[from], MOVES.cancel[to]
  if was_open and not is_open then
    if call('HINCRBY', key, 'ended', 1) == tonumber(call('HGET', key, 'total')) then
      complete_batch(batch, t)
    end
  elseif is_open and not was_open then
    call('HINCRBY', key, 'ended', -1)
    if call('HDEL', key, 'completed') == 1 then
      unschedule('purge', batch, t)
    end
  end
end

-- Changes the status of a job. Every change passes here, and the verb has checked that MOVES allows it.
local function move(job, verb, t)
  local record = call('HMGET', 'f:j:' .. job, 'status', 'batch', 'tenant', 'started')
  local from, batch = record[1], record[2]
  local to = MOVES[verb][from]
  if record[4] then
    call(to == 'running' and 'SADD' or 'SREM', 'f:running:' .. record[3], job)
  end
  call('HSET', 'f:j:' .. job, 'status', to)
  call('HINCRBY', 'f:count', from, -1)
  call('HINCRBY', 'f:count', to, 1)
  event(job, to, record[3], batch)
  if batch and call('EXISTS', 'f:b:' .. batch) == 1 then
    move_in_batch(batch, from, to, t)
  end
end

-- The queues in which a job's segments wait.
local function place_of(job)
  local record = call('HMGET', 'f:j:' .. job, 'model', 'lane', 'tenant')
  local at = {model = record[1], lane = record[2], tenant = record[3]}
  at.ring = 'f:ring:' .. at.model .. ':' .. at.lane
  at.jobs = 'f:jobs:' .. at.model .. ':' .. at.lane .. ':' .. at.tenant
  return at
end

-- Counts k more ready segments of a job; a negative k counts fewer.
local function add_ready(job, at, k)
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

-- Ends an open job: its work is removed, its webhook is told, and its expiry becomes due.
local function close(job, verb, t)
  local record = call('HMGET', 'f:j:' .. job, 'ready', 'keep', 'events', 'created', 'ends', 'held')
  local at = place_of(job)
  if number(record[1]) > 0 then
    add_ready(job, at, -record[1])
  end
  for _, segment in ipairs(call('HKEYS', 'f:a:' .. job)) do
    call('ZREM', 'f:solo:' .. at.model, job .. ':' .. segment)
  end
  call('DEL', 'f:r:' .. job, 'f:d:' .. job, 'f:c:' .. job, 'f:l:' .. job, 'f:a:' .. job)
  if record[6] then
    use(at.tenant, -record[6], 0, 0)
    call('HDEL', 'f:j:' .. job, 'held')
  end
  unschedule('plan', job, t)
  unschedule('assemble', job, t)
  drop_passages(job, t)
  call('HSET', 'f:j:' .. job, 'ended', t)
  move(job, verb, t)
  schedule('expire', job, t + record[2] * 1000, t)
  local status = call('HGET', 'f:j:' .. job, 'status')
  count_up(1, 'ended', at.model, at.lane, status)
  if not record[5] then  -- a later end says how long somebody waited before a retry
    observe(t - record[4], 'whole', at.lane, status)
  end
  local wanted = record[3] and string.find(',' .. record[3] .. ',', ',' .. status .. ',', 1, true)
  record_end('f:j:', job, status, wanted, t)
end

-- Makes a running job due for assembly when all of its segments are done or dead, and all of its passages are made. Says
-- whether it is due now. A streamed job has no result to be assembled: it ends here.
local function complete(job, t)
  local record = call('HMGET', 'f:j:' .. job, 'status', 'total', 'done', 'dead', 'streamed', 'passages')
  if not MOVES.complete[record[1]] or tonumber(record[2]) ~= record[3] + record[4] then
    return false
  end
  move(job, 'complete', t)
  if record[5] then
    close(job, 'finish', t)
    return false
  end
  if record[6] then -- the last of them makes it due; and so does time, where no desk of this release is left
    schedule('assemble', job, t + PASSAGES_WAIT_MS, t)
    return false
  end
  schedule('assemble', job, t, t)
  return true
end

-- A queued job is planned: all of its segments become ready.
local function begin_rendering(job, total, t)
  call('HSET', 'f:j:' .. job, 'total', total, 'ready', 0, 'done', 0, 'dead', 0, 'cached', 0, 'review', 0, 'ms', 0, 'running', t)
  tally(call('HGET', 'f:j:' .. job, 'batch'), 'segments', total)
  move(job, 'plan', t)
  if total > 0 then
    local rest = total % 8
    local tail = rest > 0 and string.char(256 - 2 ^ (8 - rest)) or ''
    call('SET', 'f:r:' .. job, string.rep('\255', math.floor(total / 8)) .. tail)
    add_ready(job, place_of(job), total)
  else
    complete(job, t)
  end
end

-- Idempotency keys ----------------------------------------------------------------------------------------------------

-- The answer to a request whose idempotency key was used before; nil when the key is free, or "" for none. Deleting the
-- job or batch frees its key.
local function idempotent(key, digest)
  local value = key ~= '' and call('GET', 'f:idem:' .. key)
  if not value then
    return nil
  end
  local id, used = string.match(value, '^(%S*) (.*)$')
  local reserved = string.sub(id, 1, 1) == '?'
  local gone = call('EXISTS', 'f:j:' .. id, 'f:b:' .. id) == 0 or call('HEXISTS', 'f:b:' .. id, 'deleted') == 1
  if gone and not reserved then
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
  local record = call('HMGET', 'f:j:' .. job, 'batch', 'shares')
  local shared = record[2] and call('HGET', 'f:shared:' .. record[1], 'spec')
  return {job, call('HGETALL', 'f:j:' .. job), call('GET', 'f:s:' .. job), call('GET', 'f:o:' .. job), shared}
end

local function record_of_batch(batch)
  return {batch, call('HGETALL', 'f:b:' .. batch), call('GET', 'f:s:' .. batch), call('HGET', 'f:shared:' .. batch, 'spec')}
end

-- A page of a list: its newest first, or from its beginning where `forward`. A page starts behind the last member seen, or
-- behind its former place when that member is gone.
local function page_of(key, forward, after_score, after_id, limit)
  local first = 0
  if after_id ~= '' then
    local seen = call(forward and 'ZRANK' or 'ZREVRANK', key, after_id)
    if seen then
      first = seen + 1
    elseif forward then
      first = call('ZCOUNT', key, '-inf', after_score)
    else
      first = call('ZCOUNT', key, '(' .. after_score, '+inf')
      for _, id in ipairs(call('ZREVRANGEBYSCORE', key, after_score, after_score)) do
        if id >= after_id then
          first = first + 1
        end
      end
    end
  end
  return call(forward and 'ZRANGE' or 'ZREVRANGE', key, first, first + limit - 1)
end

-- Removes what the jobs of a batch share, once neither the batch nor any of its jobs is left. Jobs outlive their batch.
local function drop_shared(batch)
  if call('EXISTS', 'f:b:' .. batch) == 0 and number(call('HGET', 'f:shared:' .. batch, 'jobs')) <= 0 then
    call('DEL', 'f:shared:' .. batch)
  end
end
