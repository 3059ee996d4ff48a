-- recount: tenant after limit -> the time of acceptance of the last job looked at, nothing at the end
-- Corrects what jobs count for that a release without quotas has accepted or ended, and lists batches that a release
-- without f:batches has accepted, and corrects which jobs are under way. Safe to do twice.
local tenant, after, limit = unpack(ARGV)
local jobs = call('ZRANGEBYSCORE', 'f:list:' .. tenant, after, '+inf', 'WITHSCORES', 'LIMIT', 0, limit)
drains()
for x = 1, #jobs, 2 do
  local key = 'f:j:' .. jobs[x]
  local job = call('HMGET', key, 'status', 'characters', 'records', 'held', 'ms', 'events', 'planned', 'result', 'batch',
    'started')
  local status, open = job[1], MOVES.cancel[job[1]]
  if status and not job[3] then
    local text = call('STRLEN', 'f:text:' .. jobs[x])
    local records = RECORD_BYTES + (job[6] and END_BYTES or 0) + call('STRLEN', 'f:s:' .. jobs[x]) + text
    local bytes = records
    if status ~= 'expired' then -- a text that lies in storage has about as many bytes as characters
      bytes = bytes + (text > 0 and 0 or job[2]) + number(job[5]) * CLIP_BYTES_PER_MS + number(job[7]) + number(job[8])
    end
    call('HSET', key, 'records', records, 'bytes', bytes)
    use(tenant, 0, bytes, records)
  end
  if open and not job[4] then
    call('HSET', key, 'held', job[2])
    use(tenant, job[2] + 0, 0, 0)
  elseif job[4] and not open then
    call('HDEL', key, 'held')
    use(tenant, -job[4], 0, 0)
  end
  call(status == 'running' and job[10] and 'SADD' or 'SREM', 'f:running:' .. tenant, jobs[x])
  local batch = job[9] and call('HMGET', 'f:b:' .. job[9], 'created', 'deleted') or {}
  if batch[1] and not batch[2] then
    call('ZADD', 'f:batches:' .. tenant, batch[1], job[9])
  end
end
for _, job in ipairs(after == '-inf' and call('SMEMBERS', 'f:running:' .. tenant) or {}) do
  if call('EXISTS', 'f:j:' .. job) == 0 then
    call('SREM', 'f:running:' .. tenant, job)
  end
end
if after == '-inf' and call('EXISTS', 'f:voices:' .. tenant) == 1 then
  local t = now()
  schedule('sweep', tenant, t, t) -- which weighs them
end
return #jobs == 2 * limit and jobs[#jobs] or false
