-- accept_batch: id tenant total keep_s webhook(1|0) idem_key request_digest spec shared("" for none) drafted(1|0) stored characters lines texts trace
-- -> as accept
local id, tenant, total, keep_s, webhook, idem_key, request_digest, spec, shared, drafted, stored, characters, lines,
  texts, trace = unpack(ARGV)
if call('EXISTS', 'f:b:' .. id) == 1 then
  return {'again', id}
end
local earlier = idempotent(idem_key, request_digest)
if earlier then
  return earlier
end
local t, records = now(), record_bytes(spec, shared, webhook == '1' and 'completed' or '')
lines = lines + total * RECORD_BYTES
local standing, refusal = admit(tenant, characters, records + stored + lines + texts, records + lines, t)
if refusal then
  return refusal
end
if drafted == '1' and not claim_draft(id, t) then
  return {'late'}
end
remember(idem_key, id, request_digest, IDEMPOTENCY_MS)
call('HSET', 'f:b:' .. id, 'tenant', tenant, 'total', total, 'accepted', 0, 'ended', 0, 'keep', keep_s, 'webhook', webhook,
  'created', t, 'records', records, 'bytes', records + stored, 'held', characters, 'lines', lines, 'texts', texts)
if trace ~= '' then
  call('HSET', 'f:b:' .. id, 'trace', trace)
end
call('ZADD', 'f:batches:' .. tenant, t, id)
count_request(tenant, standing)
call('SET', 'f:s:' .. id, spec)
if shared ~= '' then
  call('HSET', 'f:shared:' .. id, 'spec', shared)
end
schedule('batch', id, t, t)
return {'new', id, told(standing, t)}
