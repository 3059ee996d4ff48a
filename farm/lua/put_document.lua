-- put_document: tenant id record bytes due_ms limit -> 1 | 0 | as accept "quota"
-- A new document, or an old one that is uploaded again. It counts for its bytes from now on.
local tenant, id, record, bytes, due_ms, limit = unpack(ARGV)
local key = 'f:docs:' .. tenant
local old = call('HGET', key, id)
if not old and call('HLEN', key) >= tonumber(limit) then
  return 0
end
local t, more = now(), bytes - number(old and string.match(old, '^%d+'))
local standing, refusal = admit(tenant, 0, more, 0, t)
if refusal then
  return refusal
end
count_request(tenant, standing)
call('HSET', key, id, bytes .. ' ' .. record)
schedule('document', id .. '.' .. tenant, t + due_ms, t)
return 1
