-- settle: token, then job count (segment milliseconds cached(1|0))… for each job -> per clip 1 when it counted, else 0
drains()
local token, t, counted = ARGV[1], now(), {}

-- A clip of a segment that its sender did not hold: the segment may wait as ready or suspect, or be dead.
local function take_out(job, at, batch, segment)
  if call('SETBIT', 'f:r:' .. job, segment, 0) == 1 then
    shift(job, at, -1)
  elseif call('ZREM', 'f:solo:' .. at.model, job .. ':' .. segment) == 0 then
    local lost = call('HGET', 'f:a:' .. job, segment)
    if lost and string.sub(lost, 1, 1) == 'x' then
      call('HDEL', 'f:a:' .. job, segment)
      call('HINCRBY', 'f:j:' .. job, 'dead', -1)
      tally(batch, 'dead', -1)
    end
  end
end

local function add(job, batch, field, k)
  if k > 0 then
    call('HINCRBY', 'f:j:' .. job, field, k)
    tally(batch, field, k)
  end
end

local function settle(job, clips)
  local record = call('HMGET', 'f:j:' .. job, 'status', 'total', 'batch')
  local total = record[1] == 'running' and tonumber(record[2]) or 0
  local fields, bits, valid = {'f:g:' .. token}, {'f:d:' .. job}, {}
  for c, clip in ipairs(clips) do
    fields[c + 1] = job .. ':' .. clip.segment
    if tonumber(clip.segment) < total then
      valid[#valid + 1] = clip
      local b = #bits
      bits[b + 1], bits[b + 2], bits[b + 3], bits[b + 4] = 'SET', 'u1', clip.segment, 1
    end
  end
  local held = call('HDEL', unpack(fields)) == #clips
  if #valid == 0 then
    return
  end
  local before, at = call('BITFIELD', unpack(bits)), not held and place_of(job)
  local done, cached, milliseconds = 0, 0, 0
  for v, clip in ipairs(valid) do
    if before[v] == 0 then
      clip.counted = 1
      done, milliseconds = done + 1, milliseconds + clip.milliseconds
      if clip.cached then
        call('SETBIT', 'f:c:' .. job, clip.segment, 1)
        cached = cached + 1
      end
      if not held then
        take_out(job, at, record[3], clip.segment)
      end
    end
  end
  add(job, record[3], 'done', done)
  add(job, record[3], 'cached', cached)
  add(job, record[3], 'ms', milliseconds)
  if done > 0 then
    complete(job, t)
  end
end

local x = 2
while ARGV[x] do
  local clips, past = {}, x + 2 + 3 * ARGV[x + 1]
  for y = x + 2, past - 1, 3 do
    clips[#clips + 1] = {segment = ARGV[y], milliseconds = ARGV[y + 1], cached = ARGV[y + 2] == '1', counted = 0}
  end
  settle(ARGV[x], clips)
  for _, clip in ipairs(clips) do
    counted[#counted + 1] = clip.counted
  end
  x = past
end
drop_if_empty(token)
return counted
