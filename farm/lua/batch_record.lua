-- batch_record: batch tenant("" for any) -> fields, spec, what its jobs share or nothing | nothing
local batch, tenant = unpack(ARGV)
local found = call('HMGET', 'f:b:' .. batch, 'tenant', 'deleted')
if not found[1] or (tenant ~= '' and (tenant ~= found[1] or found[2])) then
  return false
end
return {call('HGETALL', 'f:b:' .. batch), call('GET', 'f:s:' .. batch), call('HGET', 'f:shared:' .. batch, 'spec')}
