-- settle: token times("" or <bucket>:<clips>,…) warnings("" or <code>:<clips>,…) takes, (job count (segment milliseconds cached(1|0) review(1|0))…)…
-- -> per clip 1 when it counted, else 0; then how many jobs became due for assembly, and passages to be made
local token, times, warnings, takes = unpack(ARGV, 1, 4)
drains()
local t, counted, became_due, tallied = now(), {}, 0, {}

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

-- Settles the `count` clips of one job, from ARGV[first] on. They stay in ARGV: a table for each would double the cost. Of a
-- job that was edited only clips of segments that are held count: a late one may be of an earlier revision, in which a
-- segment of the same number said something else.
local function settle(job, first, count)
  local record = call('HMGET', 'f:j:' .. job, 'status', 'total', 'batch', 'done', 'dead', 'model', 'tenant', 'revision', 'records')
  local batch, total = record[3], record[1] == 'running' and tonumber(record[2]) or 0
  local fields, bits, valid = {'f:g:' .. token}, {'f:d:' .. job}, {}
  for x = first, first + 4 * (count - 1), 4 do
    counted[#counted + 1] = 0
    fields[#fields + 1] = job .. ':' .. ARGV[x]
  end
  local hands = record[8] and call('HMGET', unpack(fields))
  for x = first, first + 4 * (count - 1), 4 do
    local segment = ARGV[x]
    if tonumber(segment) < total and (not hands or hands[1 + (x - first) / 4]) then
      local b = #bits
      bits[b + 1], bits[b + 2], bits[b + 3], bits[b + 4] = 'SET', 'u1', segment, 1
      valid[#valid + 1] = x
    end
  end
  local removed = call('HDEL', unpack(fields))
  local held = removed == count
  let_go(token, record[7], removed)
  if #valid == 0 then
    return
  end
  local before, fresh, cached, review, milliseconds, found = call('BITFIELD', unpack(bits)), {}, 0, 0, 0, 0
  for v, x in ipairs(valid) do
    if before[v] == 0 then
      counted[#counted - count + (x - first) / 4 + 1] = 1
      fresh[#fresh + 1] = ARGV[x]
      milliseconds = milliseconds + ARGV[x + 1]
      if ARGV[x + 2] == '1' then
        call('SETBIT', 'f:c:' .. job, ARGV[x], 1)
        cached, found = cached + 1, found + ARGV[x + 1]
      end
      if ARGV[x + 3] == '1' then
        call('SETBIT', 'f:l:' .. job, ARGV[x], 1)
        review = review + 1
      end
    end
  end
  if #fresh == 0 then
    return
  end
  local living = held and fresh or take_out(job, batch, fresh)
  became_due = became_due + pass(job, living, t)
  add(job, batch, 'done', #fresh)
  add(job, batch, 'cached', cached)
  add(job, batch, 'review', review)
  add(job, batch, 'ms', milliseconds)
  clips_settled(job, record[7], batch)
  local sums = tallied[record[6]] or {settled = 0, cached = 0, review = 0, audio_ms = 0}
  tallied[record[6]] = sums
  sums.settled, sums.cached, sums.audio_ms = sums.settled + #fresh, sums.cached + cached, sums.audio_ms + milliseconds
  sums.review = sums.review + review
  if milliseconds > found then
    grow_counted(job, record[7], record[9], (milliseconds - found) * CLIP_BYTES_PER_MS, 0)
  end
  if record[4] + record[5] + #fresh >= total then
    if complete(job, t) then
      became_due = became_due + 1
    end
  end
end

local x = 5
while ARGV[x] do
  settle(ARGV[x], x + 2, tonumber(ARGV[x + 1]))
  x = x + 2 + 4 * ARGV[x + 1]
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
