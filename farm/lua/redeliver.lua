-- redeliver: id tenant -> 1 | nothing
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
schedule('deliver', id, t, t)
return 1
