-- Grants: the segments that workers hold, and how they come back.

-- "<job>:<segment>" -> job, segment; nil for the fields w and m.
local function split(field)
  return string.match(field, '^(.*):(%d+)$')
end

-- The segments of a grant: job -> {segments = all of them, begun = {…}, waiting = {…}}, each in order.
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

-- A grant holds k segments of a tenant's less. Only tenants with a limit are counted; the count of a grant that is gone goes
-- with the next claim.
local function let_go(token, tenant, k)
  local key = 'f:held:' .. (tenant or '')
  if k > 0 and call('HEXISTS', key, token) == 1 and call('HINCRBY', key, token, -k) <= 0 then
    call('HDEL', key, token)
  end
end

-- Removes a grant that holds no segments.
local function drop_if_empty(token)
  if call('HLEN', 'f:g:' .. token) <= 2 then
    call('DEL', 'f:g:' .. token)
    call('ZREM', 'f:lease', token)
  end
end

-- Removes the segments of a job from every grant. A holder that was overtaken, by a late settle or by cancel and retry,
-- could otherwise give back segments that another worker holds by then.
local function remove_from_grants(job)
  local prefix, tenant = job .. ':', call('HGET', 'f:j:' .. job, 'tenant')
  for _, token in ipairs(call('ZRANGE', 'f:lease', 0, -1)) do
    local gone = {}
    for _, field in ipairs(call('HKEYS', 'f:g:' .. token)) do
      if string.find(field, prefix, 1, true) == 1 then
        gone[#gone + 1] = field
      end
    end
    if #gone > 0 then
      call('HDEL', 'f:g:' .. token, unpack(gone))
      let_go(token, tenant, #gone)
      drop_if_empty(token)
    end
  end
end

-- Those of the segments that still have to be rendered.
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

-- Makes segments of a running job ready again; quarantined ones return to the quarantine. Returns their number.
local function give_back(job, segments)
  if #segments == 0 then
    return 0
  end
  local ready, quarantined, at = 0, 0, place_of(job)
  local lost = call('HMGET', 'f:a:' .. job, unpack(segments))
  for x, segment in ipairs(segments) do
    if number(lost[x]) >= QUARANTINE_AFTER then
      local turn = call('HINCRBY', 'f:turns:' .. at.model, 'sequence', 1)
      quarantined = quarantined + call('ZADD', 'f:solo:' .. at.model, 'NX', turn, job .. ':' .. segment)
    elseif call('SETBIT', 'f:r:' .. job, segment, 1) == 0 then
      ready = ready + 1
    end
  end
  if ready > 0 then
    add_ready(job, at, ready)
  end
  return ready + quarantined
end

-- Counts one lost attempt for each of these segments of a running job: it is ready again, quarantined, or dead.
local function count_losses(job, segments, message, t)
  local record = call('HMGET', 'f:j:' .. job, 'batch', 'skip', 'model')
  local batch, skip, model = record[1], record[2], record[3]
  count_up(#segments, 'lost', model)
  local again = {}
  for _, segment in ipairs(segments) do
    local lost = call('HINCRBY', 'f:a:' .. job, segment, 1)
    if lost >= MAX_ATTEMPTS then
      call('HSET', 'f:a:' .. job, segment, 'x' .. message)
      call('HINCRBY', 'f:j:' .. job, 'dead', 1)
      tally(batch, 'dead', 1)
      count_up(1, 'dead', model)
      if not skip then
        local outcome = {code = SEGMENT_FAILED, segment = tonumber(segment), message = message}
        call('SET', 'f:o:' .. job, cjson.encode(outcome))
        close(job, 'abort', t)
        return
      end
      pass(job, {segment}, t)
    else
      again[#again + 1] = segment
    end
  end
  give_back(job, again)
  complete(job, t)
end
