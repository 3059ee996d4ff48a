-- note_document: tenant id token("" for none) record bytes due_ms -> 1 | 0
-- What became of a document, and when it is looked at again. 0 where it was deleted, or the token is late.
local tenant, id, token, record, bytes, due_ms = unpack(ARGV)
local key, task = 'f:docs:' .. tenant, id .. '.' .. tenant
local old = call('HGET', key, id)
if not old or (token ~= '' and not holds('document', task, token)) then
  return 0
end
local t = now()
use(tenant, 0, bytes - bytes_of(old), 0)
call('HSET', key, id, bytes .. ' ' .. record)
schedule('document', task, t + due_ms, t)
return 1
