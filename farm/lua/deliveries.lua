-- deliveries: owner tenant ("" for any) -> {end, event and record, milliseconds until due or nothing}, … | nothing
local owner = ARGV[1]
local tenant = call('HGET', 'f:j:' .. owner, 'tenant') or call('HGET', 'f:b:' .. owner, 'tenant')
if not tenant or (ARGV[2] ~= '' and ARGV[2] ~= tenant) then
  return false
end
local t, found, flat = now(), {}, call('HGETALL', 'f:w:' .. owner)
for x = 1, #flat, 2 do
  local id = owner .. '.' .. flat[x]
  local lane = lane_and_tenant('deliver', id)
  local due = call('ZSCORE', 'f:due:deliver:' .. lane .. ':' .. tenant, id)
  found[#found + 1] = {tonumber(flat[x]), flat[x + 1], due and math.max(due - t, 0)}
end
return found
