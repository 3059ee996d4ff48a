-- accept: id tenant model lane characters keep_s on_error batch shares(1|0) events idem_key request_digest spec text drafted streamed planned stored trace
-- -> "new" id standing | "again" id | "reused" | "no batch" | "stopped" | "late" | "quota" standing asked violated
-- drafted, streamed: 1 or 0. planned: segments of a plan that is in storage; "" when the desk is to plan. trace: "" for
-- none
local id, tenant, model, lane, characters, keep_s, on_error, batch, shares, events, idem_key, request_digest, spec, text,
  drafted, streamed, planned, stored, trace = unpack(ARGV)
if call('EXISTS', 'f:j:' .. id) == 1 then
  return {'again', id}
end
local earlier = idempotent(idem_key, request_digest)
if earlier then
  return earlier
end
local t, records = now(), record_bytes(spec, text, events)
local bytes, lines, standing, refusal = records + stored, nil, nil, nil
if batch ~= '' then
  local found = call('HMGET', 'f:b:' .. batch, 'tenant', 'stopped', 'lines')
  if not found[1] then
    return {'no batch'}
  end
  if found[2] then
    skip_rest(batch, t)
    return {'stopped'}
  end
  lines = found[3]
else
  standing, refusal = admit(tenant, characters, bytes, records, t)
  if refusal then
    return refusal
  end
end

if drafted == '1' and not claim_draft(id, t) then
  return {'late'}
end
remember(idem_key, id, request_digest, IDEMPOTENCY_MS)
local record = {'HSET', 'f:j:' .. id, 'status', 'queued', 'tenant', tenant, 'model', model, 'lane', lane, 'characters',
  characters, 'keep', keep_s, 'created', t, 'held', characters, 'bytes', bytes, 'records', records}
local function note(field, value)
  record[#record + 1], record[#record + 2] = field, value
end
if on_error == 'skip' then
  note('skip', 1)
end
if streamed == '1' then
  note('streamed', 1)
end
if events ~= '' then
  note('events', events)
end
if trace ~= '' then
  note('trace', trace)
end
if batch ~= '' then
  note('batch', batch)
end
if shares == '1' then
  note('shares', 1)
end
call(unpack(record))
if standing then
  count_request(tenant, standing)
elseif not lines then -- of a batch that a release without quotas accepted
  use(tenant, characters, bytes, records)
end
call('SET', 'f:s:' .. id, spec)
call('ZADD', 'f:list:' .. tenant, t, id)
call('HINCRBY', 'f:count', 'queued', 1)
event(id, 'queued', tenant, batch)
count_up(1, 'accepted', model, lane)
count_up(tonumber(characters), 'characters', model, lane)
if batch ~= '' then
  if shares == '1' then
    call('HINCRBY', 'f:shared:' .. batch, 'jobs', 1)
  end
  call('HINCRBY', 'f:b:' .. batch, 'queued', 1)
  local line = call('HINCRBY', 'f:b:' .. batch, 'accepted', 1)
  call('ZADD', 'f:lines:' .. batch, line, id)
  if lines then -- what the batch was counted for, the job is now
    call('HINCRBY', 'f:b:' .. batch, 'held', 0 - characters)
    call('HINCRBY', 'f:b:' .. batch, 'lines', -records)
    call('HINCRBY', 'f:b:' .. batch, 'texts', 0 - stored)
    if line >= tonumber(call('HGET', 'f:b:' .. batch, 'total')) then
      release_lines(batch, tenant)
    end
  else -- a release without quotas, and without f:batches, has accepted the batch
    call('ZADD', 'f:batches:' .. tenant, call('HGET', 'f:b:' .. batch, 'created'), batch)
  end
end
if text ~= '' then
  call('SET', 'f:text:' .. id, text)
end
if planned ~= '' then
  begin_rendering(id, tonumber(planned), t)
else
  put_due('plan', lane, tenant, id, t, t)
end
return {'new', id, standing and told(standing, t)}
