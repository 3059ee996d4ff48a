-- Revisions: an ended job is opened again, and what is kept of its earlier revisions.

-- Opens an ended job. What its last run has counted is counted no longer, and the job is due to be planned.
local function reopen(job, verb, t)
  local key = 'f:j:' .. job
  local batch = call('HGET', key, 'batch')
  local sums = {total = 'segments', done = 'done', dead = 'dead', cached = 'cached', review = 'review', ms = 'ms'}
  for field, sum in pairs(sums) do
    tally(batch, sum, -number(call('HGET', key, field)))
  end
  call('HDEL', key, 'total', 'ready', 'done', 'dead', 'cached', 'review', 'ms', 'redos', 'started', 'running',
    'ended', 'planned', 'result')
  call('DEL', 'f:o:' .. job)
  count_up(1, 'retried')
  remove_from_grants(job)
  unschedule('expire', job, t)
  move(job, verb, t)
  schedule('plan', job, t, t)
end

-- The number of a job's revision.
local function revision_of(job)
  return tonumber(call('HGET', 'f:j:' .. job, 'revision') or 1)
end

-- Keeps what there is of a succeeded revision, until the retention of its result is over. The result of the oldest goes at
-- once where there would be too many.
local function keep_revision(job, t)
  local record = call('HMGET', 'f:j:' .. job, 'ended', 'keep', 'result', 'total', 'done', 'cached')
  local past, at = 'f:past:' .. job, revision_of(job)
  local expires = record[1] + 1000 * record[2]
  local kept = string.format('%d %d %d %d %d %d ', record[1], expires, number(record[3]), record[4],
    record[5] - record[6], record[6]) .. call('GET', 'f:o:' .. job)
  call('HSET', past, at, kept)
  grow(job, #kept, #kept)
  schedule('retire', job .. '.' .. at, expires, t)
  local numbers = call('HKEYS', past)
  if #numbers > REVISIONS_KEPT then
    table.sort(numbers, function(a, b) return tonumber(a) < tonumber(b) end)
    schedule('retire', job .. '.' .. numbers[1], t, t)
  end
end

-- Returns the bytes of the records that are gone.
local function drop_revisions(job, t)
  local past, bytes = call('HGETALL', 'f:past:' .. job), 0
  for x = 1, #past, 2 do
    unschedule('retire', job .. '.' .. past[x], t)
    bytes = bytes + #past[x + 1]
  end
  call('DEL', 'f:past:' .. job)
  return bytes
end
