-- batch_record: batch tenant("" for any) -> fields, spec, what its jobs share or nothing | nothing
local batch, tenant = unpack(ARGV)
local found = call('HGET', 'f:b:' .. batch, 'tenant')
if not found or (tenant ~= '' and tenant ~= found) then
  return false
end
return {call('HGETALL', 'f:b:' .. batch), call('GET', 'f:s:' .. batch), call('HGET', 'f:shared:' .. batch, 'spec')}
