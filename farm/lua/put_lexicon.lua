-- put_lexicon: tenant name old("" for none) record bytes limit -> 1 | 0 | -1 | as accept "quota"
-- `bytes` are those of all its versions. 0 where the tenant has so many already, -1 where it is not `old` any more.
local tenant, name, old, record, bytes, limit = unpack(ARGV)
local key = 'f:lexicons:' .. tenant
local stored = call('HGET', key, name)
if (stored or '') ~= old then
  return -1
end
if not stored and call('HLEN', key) >= tonumber(limit) then
  return 0
end
local t, more = now(), bytes - number(stored and string.match(stored, '^%d+'))
local standing, refusal = admit(tenant, 0, more, 0, t)
if refusal then
  return refusal
end
count_request(tenant, standing)
call('HSET', key, name, bytes .. ' ' .. record)
return 1
