-- accept_batch: id tenant total keep_s webhook(1|0) idem_key request_digest spec shared("" for none) drafted(1|0) -> as accept
local id, tenant, total, keep_s, webhook, idem_key, request_digest, spec, shared, drafted = unpack(ARGV)
if call('EXISTS', 'f:b:' .. id) == 1 then
  return {'again', id}
end
local earlier = idempotent(idem_key, request_digest)
if earlier then
  return earlier
end
local t = now()
if drafted == '1' and not claim_draft(id, t) then
  return {'late'}
end
remember(idem_key, id, request_digest, IDEMPOTENCY_MS)
call('HSET', 'f:b:' .. id, 'tenant', tenant, 'total', total, 'accepted', 0, 'ended', 0, 'keep', keep_s, 'webhook', webhook,
  'created', t)
call('SET', 'f:s:' .. id, spec)
if shared ~= '' then
  call('HSET', 'f:shared:' .. id, 'spec', shared)
end
schedule('batch', id, t, t)
return {'new', id}
