-- batch_record: batch tenant("" for any) -> fields, spec | nothing
local batch, tenant = unpack(ARGV)
local found = call('HGET', 'f:b:' .. batch, 'tenant')
if not found or (tenant ~= '' and tenant ~= found) then
  return false
end
return {call('HGETALL', 'f:b:' .. batch), call('GET', 'f:s:' .. batch)}
