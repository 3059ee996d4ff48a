-- settle: token times("" or <bucket>:<clips>,…) warnings("" or <code>:<clips>,…) takes clips(JSON)
-- -> per clip 1 when it counted, else 0; then how many jobs became due for assembly, and passages to be made
-- clips: [[job, [segment, …], [milliseconds, …], [cached, …], [review, …]], …]. Segments are strings, the last two booleans
local token, times, warnings, takes, clips = unpack(ARGV)
drains()
local t, counted, became_due, tallied = now(), {}, 0, {}
local let_gone, grown = {}, {} -- of tenants: segments that the grant holds no more, bytes of their clips

local function add(job, batch, field, k)
  if k ~= 0 then
    call('HINCRBY', 'f:j:' .. job, field, k)
    tally(batch, field, k)
  end
end

-- Clips from a sender that did not hold their segments: these may be ready, quarantined or dead, and are so no longer.
-- Returns those that were not dead.
local function take_out(job, batch, segments)
  local at, ready, dead, living = place_of(job), 0, 0, {}
  for _, segment in ipairs(segments) do
    local was_dead = false
    if call('SETBIT', 'f:r:' .. job, segment, 0) == 1 then
      ready = ready + 1
    elseif call('ZREM', 'f:solo:' .. at.model, job .. ':' .. segment) == 0 then
      local lost = call('HGET', 'f:a:' .. job, segment)
      was_dead = lost and string.sub(lost, 1, 1) == 'x'
      if was_dead then
        call('HDEL', 'f:a:' .. job, segment)
        dead = dead + 1
      end
    end
    living[#living + 1] = not was_dead and segment or nil
  end
  if ready > 0 then
    add_ready(job, at, -ready)
  end
  add(job, batch, 'dead', -dead)
  return living
end

-- Settles clips of one job. Of a job that was edited only clips of segments that are held count: a late one may be of an
-- earlier revision, in which a segment of the same number said something else.
local function settle(job, segments, lengths, in_cache, doubtful)
  local record = call('HMGET', 'f:j:' .. job, 'status', 'total', 'batch', 'done', 'dead', 'model', 'tenant', 'revision', 'records',
    'ms', 'bytes')
  local batch, tenant, total = record[3], record[7], record[1] == 'running' and tonumber(record[2]) or 0
  local fields, bits, valid, earlier = {'f:g:' .. token}, {'f:d:' .. job}, {}, #counted
  for k, segment in ipairs(segments) do
    counted[earlier + k], fields[1 + k] = 0, job .. ':' .. segment
  end
  local hands = record[8] and call('HMGET', unpack(fields))
  for k, segment in ipairs(segments) do
    if tonumber(segment) < total and (not hands or hands[k]) then
      local b = #bits
      bits[b + 1], bits[b + 2], bits[b + 3], bits[b + 4] = 'SET', 'u1', segment, 1
      valid[#valid + 1] = k
    end
  end
  local removed = call('HDEL', unpack(fields))
  local held = removed == #segments
  if tenant then
    let_gone[tenant] = (let_gone[tenant] or 0) + removed
  end
  if #valid == 0 then
    return
  end
  local before, fresh, cached, review, milliseconds, found = call('BITFIELD', unpack(bits)), {}, 0, 0, 0, 0
  for v, k in ipairs(valid) do
    if before[v] == 0 then
      counted[earlier + k] = 1
      fresh[#fresh + 1] = segments[k]
      milliseconds = milliseconds + lengths[k]
      if in_cache[k] then
        call('SETBIT', 'f:c:' .. job, segments[k], 1)
        cached, found = cached + 1, found + lengths[k]
      end
      if doubtful[k] then
        call('SETBIT', 'f:l:' .. job, segments[k], 1)
        review = review + 1
      end
    end
  end
  if #fresh == 0 then
    return
  end
  local living = held and fresh or take_out(job, batch, fresh)
  became_due = became_due + pass(job, living, t)
  -- One write of what changes with every settle. What seldom does is added to.
  local counters = {'done', record[4] + #fresh, 'ms', number(record[10]) + milliseconds}
  if record[9] then
    local bytes = (milliseconds - found) * CLIP_BYTES_PER_MS
    grown[tenant] = (grown[tenant] or 0) + bytes
    counters[5], counters[6] = 'bytes', number(record[11]) + bytes
  end
  call('HSET', 'f:j:' .. job, unpack(counters))
  tally_all(batch, {done = #fresh, ms = milliseconds})
  add(job, batch, 'cached', cached)
  add(job, batch, 'review', review)
  clips_settled(job, tenant, batch)
  local sums = tallied[record[6]] or {settled = 0, cached = 0, review = 0, audio_ms = 0}
  tallied[record[6]] = sums
  sums.settled, sums.cached, sums.audio_ms = sums.settled + #fresh, sums.cached + cached, sums.audio_ms + milliseconds
  sums.review = sums.review + review
  if record[4] + record[5] + #fresh >= total then
    if complete(job, t) then
      became_due = became_due + 1
    end
  end
end

for _, of_job in ipairs(cjson.decode(clips)) do
  settle(unpack(of_job))
end
for tenant, k in pairs(let_gone) do
  let_go(token, tenant, k)
end
for tenant, bytes in pairs(grown) do
  use(tenant, 0, bytes, 0)
end
for model, sums in pairs(tallied) do
  for what, k in pairs(sums) do
    count_up(k, what, model)
  end
  for bucket, k in string.gmatch(times, '(%w+):(%d+)') do
    count_up(tonumber(k), 'render', model, bucket)
  end
  for code, k in string.gmatch(warnings, '([%w_]+):(%d+)') do
    count_up(tonumber(k), 'warned', model, code)
  end
  count_up(tonumber(takes), 'again', model)
end
drop_if_empty(token)
counted[#counted + 1] = became_due
return counted
