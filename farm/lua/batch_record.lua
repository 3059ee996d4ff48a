-- batch_record: batch tenant("" for any) -> id, fields, spec, what its jobs share or nothing | nothing
local batch, tenant = unpack(ARGV)
local found = call('HMGET', 'f:b:' .. batch, 'tenant', 'deleted')
if not found[1] or (tenant ~= '' and (tenant ~= found[1] or found[2])) then
  return false
end
return record_of_batch(batch)
