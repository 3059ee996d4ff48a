-- put_lexicon: tenant name old("" for none) record bytes limit -> 1 | 0 | -1 | as accept "quota"
-- `bytes` are those of all its versions. 0 where the tenant has so many already, -1 where it is not `old` any more.
local tenant, name, old, record, bytes, limit = unpack(ARGV)
return put_counted(tenant, 'f:lexicons:' .. tenant, name, old, record, bytes, limit, now())
