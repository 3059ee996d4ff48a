-- redo: job token missing(a bit for each segment, most significant first) -> how many are rendered again
local job, token, missing = unpack(ARGV)
local d = 'f:d:' .. job
local record = call('HMGET', 'f:j:' .. job, 'status', 'batch', 'done', 'ms')
if not MOVES.redo[record[1]] or not holds('assemble', job, token) then
  return 0
end

-- Whole bitmaps at once: 50,000 missing clips take no longer than 50.
drains()
local mask, both = 'f:scratch:mask', 'f:scratch:both'
call('SET', mask, missing)
call('BITOP', 'AND', mask, mask, d)
local k = call('BITCOUNT', mask)
if k == 0 then
  call('DEL', mask)
  return 0
end
call('BITOP', 'XOR', d, d, mask)
call('BITOP', 'OR', 'f:r:' .. job, 'f:r:' .. job, mask)
local fewer = {done = k}
for field, bits in pairs({cached = 'f:c:' .. job, review = 'f:l:' .. job}) do
  call('BITOP', 'AND', both, bits, mask)
  fewer[field] = call('BITCOUNT', both)
  if fewer[field] > 0 then
    call('BITOP', 'XOR', bits, bits, both)
  end
end
call('DEL', mask, both)

-- The durations of single clips are not kept, so the missing ones count with the mean of all.
local t = now()
fewer.ms = math.floor(record[4] * k / record[3])
for field, change in pairs(fewer) do
  if change > 0 then
    call('HINCRBY', 'f:j:' .. job, field, -change)
    tally(record[2], field, -change)
  end
end
call('HINCRBY', 'f:j:' .. job, 'redos', 1)
remove_from_grants(job)
unschedule('assemble', job, t)
move(job, 'redo', t)
add_ready(job, place_of(job), k)
return k
