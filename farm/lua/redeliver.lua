-- redeliver: id tenant -> 1 | nothing
local owner, k = string.match(ARGV[1], '^(.*)%.(%d+)$')
if not owner or call('HEXISTS', 'f:w:' .. owner, k) == 0 then
  return false
end
local _, tenant = lane_and_tenant('deliver', ARGV[1])
if tenant ~= ARGV[2] then
  return false
end
local t = now()
schedule('deliver', ARGV[1], t, t)
return 1
