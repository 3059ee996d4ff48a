-- settle: token times("" or <bucket>:<clips>,…) warnings("" or <code>:<clips>,…) takes clips(JSON)
-- -> how many jobs became due for assembly, and passages to be made; then the numbers of the clips that do not count
-- clips: [[job, [segment, …], [milliseconds, …], [cached, …], [review, …]], …]. The last two name segments by their place in
-- the first list, from 1. Clips are numbered through all jobs, from 1
local token, times, warnings, takes, clips = unpack(ARGV)
local RUN = 32 -- bits of one number
drains()
local answer, met, tallied = {0}, 0, {} -- `met` clips have their number
local let_gone, grown = {}, {} -- of tenants: segments that the grant holds no more, bytes of their clips
local unfinished = {} -- {job, batch, segments, whether they were held} where counting is not all

local function add(job, batch, field, k)
  if k ~= 0 then
    call('HINCRBY', 'f:j:' .. job, field, k)
    tally(batch, field, k)
  end
end

-- Sets the done bits of segments. Returns place -> true for those that do not count: their job does not have them, their bit
-- was set before, or they are not held, where `hands` says who holds them. The bits of a run, segments that follow one
-- another, are written as one number: eight writes of a bit take Redis five times as long.
local function set_done(job, segments, total, hands)
  local late, runs, run = {}, {}, nil
  for k, segment in ipairs(segments) do
    if segment >= total or hands and not hands[k] then
      late[k], run = true, nil
    elseif run and segment == run.first + run.size and run.size < RUN then
      run.size = run.size + 1
    else
      run = {at = k, first = segment, size = 1}
      runs[#runs + 1] = run
    end
  end
  if #runs == 0 then
    return late
  end
  local bits = {'BITFIELD', 'f:d:' .. job}
  for _, each in ipairs(runs) do
    local b = #bits
    bits[b + 1], bits[b + 2], bits[b + 3], bits[b + 4] = 'SET', 'u' .. each.size, each.first, 2 ^ each.size - 1
  end
  for x, before in ipairs(call(unpack(bits))) do
    local k = runs[x].at + runs[x].size - 1
    while before > 0 do
      late[k] = before % 2 == 1 or nil
      k, before = k - 1, math.floor(before / 2)
    end
  end
  return late
end

-- Settles clips of one job. Of a job that was edited only clips of segments that are held count: a late one may be of an
-- earlier revision, in which a segment of the same number said something else.
local function settle(job, segments, lengths, in_cache, doubtful)
  local record = call('HMGET', 'f:j:' .. job, 'status', 'total', 'batch', 'done', 'dead', 'model', 'tenant', 'revision', 'records',
    'ms', 'bytes')
  local batch, tenant, total = record[3], record[7], record[1] == 'running' and tonumber(record[2]) or 0
  local fields, prefix = {'f:g:' .. token}, job .. ':'
  for k, segment in ipairs(segments) do
    fields[1 + k] = prefix .. string.format('%d', segment)
  end
  local hands = record[8] and call('HMGET', unpack(fields))
  local removed = call('HDEL', unpack(fields))
  if tenant then
    let_gone[tenant] = (let_gone[tenant] or 0) + removed
  end
  local late, fresh = set_done(job, segments, total, hands), {}
  local cached, review, milliseconds, found = 0, 0, 0, 0
  for k, segment in ipairs(segments) do
    if late[k] then
      answer[#answer + 1] = met + k
    else
      fresh[#fresh + 1] = segment
      milliseconds = milliseconds + lengths[k]
    end
  end
  met = met + #segments
  if #fresh == 0 then
    return
  end
  for _, k in ipairs(in_cache) do
    if not late[k] then
      call('SETBIT', 'f:c:' .. job, segments[k], 1)
      cached, found = cached + 1, found + lengths[k]
    end
  end
  for _, k in ipairs(doubtful) do
    if not late[k] then
      call('SETBIT', 'f:l:' .. job, segments[k], 1)
      review = review + 1
    end
  end
  -- One write of what changes with every settle. What seldom does is added to.
  local done = record[4] + #fresh
  local counters = {'done', done, 'ms', number(record[10]) + milliseconds}
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
  local held = removed == #segments
  if not held or done + record[5] >= total or has_passages(job) then
    unfinished[#unfinished + 1] = {job, batch, fresh, held}
  end
end

for _, of_job in ipairs(cjson.decode(clips)) do
  settle(unpack(of_job))
end
call('XTRIM', 'f:settled', 'MAXLEN', '~', SETTLED_KEPT)
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
if #unfinished == 0 then
  return answer
end

-- Few calls come here --------------------------------------------------------------------------------------------------

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

local t = now()
for _, of_job in ipairs(unfinished) do
  local job, batch, segments, held = unpack(of_job)
  local living = held and segments or take_out(job, batch, segments)
  answer[1] = answer[1] + pass(job, living, t) + (complete(job, t) and 1 or 0)
end
return answer
