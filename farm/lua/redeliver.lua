-- redeliver: id tenant -> 1 | 0 when one of its owner was asked for a moment ago | nothing
local id, tenant = unpack(ARGV)
local owner, k = string.match(id, '^(.*)%.(%d+)$')
if not owner or call('HEXISTS', 'f:w:' .. owner, k) == 0 then
  return false
end
local _, found = lane_and_tenant('deliver', id)
if found ~= tenant then
  return false
end
local t = now()
local home = (call('EXISTS', 'f:j:' .. owner) == 1 and 'f:j:' or 'f:b:') .. owner
if t < number(call('HGET', home, 'asked')) + REDELIVER_MS then
  return 0
end
call('HSET', home, 'asked', t)
schedule('deliver', id, t, t)
return 1
