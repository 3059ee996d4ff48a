-- deliveries: owner tenant("" for any) -> {end, event and record, milliseconds until due or nothing}, … | nothing
local owner, tenant = unpack(ARGV)
local its_tenant = call('HGET', 'f:j:' .. owner, 'tenant') or call('HGET', 'f:b:' .. owner, 'tenant')
if not its_tenant or (tenant ~= '' and tenant ~= its_tenant) then
  return false
end
local t, found, flat = now(), {}, call('HGETALL', 'f:w:' .. owner)
for x = 1, #flat, 2 do
  local id = owner .. '.' .. flat[x]
  local lane = lane_and_tenant('deliver', id)
  local due = call('ZSCORE', 'f:due:deliver:' .. lane .. ':' .. its_tenant, id)
  found[#found + 1] = {tonumber(flat[x]), flat[x + 1], due and math.max(due - t, 0)}
end
return found
