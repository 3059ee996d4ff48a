-- accept: id tenant model lane characters keep_s on_error batch events idem_key request_digest spec text drafted(1|0)
-- -> "new" | "again" id | "reused" | "no batch" | "late"
local id, tenant, batch = ARGV[1], ARGV[2], ARGV[8]
if call('EXISTS', 'f:j:' .. id) == 1 then
  return {'again', id}
end
local earlier = idempotent(ARGV[10], ARGV[11])
if earlier then
  return earlier
end
local stopped = false
if batch ~= '' then
  if call('EXISTS', 'f:b:' .. batch) == 0 then
    return {'no batch'}
  end
  stopped = call('HEXISTS', 'f:b:' .. batch, 'stopped') == 1
end

local t = now()
if ARGV[14] == '1' and not claim_draft(id, t) then
  return {'late'}
end
remember(ARGV[10], id, ARGV[11], IDEMPOTENCY_MS)
call('HSET', 'f:j:' .. id, 'status', 'queued', 'tenant', tenant, 'model', ARGV[3], 'lane', ARGV[4], 'characters', ARGV[5],
  'keep', ARGV[6], 'created', t)
if ARGV[7] == 'skip' then
  call('HSET', 'f:j:' .. id, 'skip', 1)
end
if ARGV[9] ~= '' then
  call('HSET', 'f:j:' .. id, 'events', ARGV[9])
end
call('SET', 'f:s:' .. id, ARGV[12])
call('ZADD', 'f:list:' .. tenant, t, id)
call('HINCRBY', 'f:count', 'queued', 1)
event(id, 'queued')
if batch ~= '' then
  call('HSET', 'f:j:' .. id, 'batch', batch)
  call('HINCRBY', 'f:b:' .. batch, 'queued', 1)
  call('ZADD', 'f:lines:' .. batch, call('HINCRBY', 'f:b:' .. batch, 'accepted', 1), id)
end
if stopped then
  close(id, 'cancel', t)
  return {'new', id}
end
if ARGV[13] ~= '' then
  call('SET', 'f:text:' .. id, ARGV[13])
end
schedule('plan', id, t, t)
return {'new', id}
