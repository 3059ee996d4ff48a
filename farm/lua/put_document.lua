-- put_document: tenant id record bytes due_ms limit -> 1 | 0 | as accept "quota"
-- A new document, or an old one that is uploaded again. It counts for its bytes from now on.
local tenant, id, record, bytes, due_ms, limit = unpack(ARGV)
local t = now()
local put = put_counted(tenant, 'f:docs:' .. tenant, id, nil, record, bytes, limit, t)
if put == 1 then
  schedule('document', id .. '.' .. tenant, t + due_ms, t)
end
return put
