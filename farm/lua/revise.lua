-- revise: job tenant revision spec characters keep_s on_error events text(more bytes of it in storage; "" when it stays) idem_key request_digest
-- -> "revised" number | "again" job | "reused" | "changed" its revision | {the status it has} | nothing | as accept "quota"
-- revision: the one that the change is made of
local job, tenant, revision, spec, characters, keep_s, on_error, events, text, idem_key, request_digest = unpack(ARGV)
local key = 'f:j:' .. job
local record = call('HMGET', key, 'status', 'tenant', 'ends', 'batch', 'shares', 'result', 'streamed')
if record[2] ~= tenant then
  return false
end
local earlier = idempotent(idem_key, request_digest)
if earlier then
  return earlier
end
if revision_of(job) ~= tonumber(revision) then
  return {'changed', revision_of(job)}
end
if not MOVES.revise[record[1]] or record[7] then
  return {record[1]}
end

local t = now()
local longer, inline = #spec - call('STRLEN', 'f:s:' .. job), text ~= '' and call('STRLEN', 'f:text:' .. job) or 0
local records = longer - inline + (events ~= '' and number(record[3]) < ENDS_KEPT and END_BYTES or 0)
local bytes = records + number(text)
local standing, refusal = admit(tenant, characters, bytes, records, t)
if refusal then
  return refusal
end
remember(idem_key, job, request_digest, IDEMPOTENCY_MS)
count_reopening(job, tenant, standing, characters, bytes, records)
if record[1] == 'succeeded' and record[6] then
  keep_revision(job, t)
end
if text ~= '' then
  call('DEL', 'f:text:' .. job)
end
call('SET', 'f:s:' .. job, spec)
if record[5] then -- its spec is whole from now on
  call('HDEL', key, 'shares')
  call('HINCRBY', 'f:shared:' .. record[4], 'jobs', -1)
  drop_shared(record[4])
end
call('HSET', key, 'characters', characters, 'keep', keep_s, 'revision', revision + 1)
call('HDEL', key, 'skip', 'events')
if on_error == 'skip' then
  call('HSET', key, 'skip', 1)
end
if events ~= '' then
  call('HSET', key, 'events', events)
end
reopen(job, 'revise', t)
return {'revised', revision + 1}
