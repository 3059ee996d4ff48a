-- accept_batch: id tenant total keep_s webhook(1|0) idem_key request_digest spec drafted(1|0) -> as accept
local id = ARGV[1]
if call('EXISTS', 'f:b:' .. id) == 1 then
  return {'again', id}
end
local earlier = idempotent(ARGV[6], ARGV[7])
if earlier then
  return earlier
end
local t = now()
if ARGV[9] == '1' and not claim_draft(id, t) then
  return {'late'}
end
remember(ARGV[6], id, ARGV[7], IDEMPOTENCY_MS)
call('HSET', 'f:b:' .. id, 'tenant', ARGV[2], 'total', ARGV[3], 'accepted', 0, 'ended', 0, 'keep', ARGV[4], 'webhook', ARGV[5],
  'created', t)
call('SET', 'f:s:' .. id, ARGV[8])
schedule('batch', id, t, t)
return {'new', id}
