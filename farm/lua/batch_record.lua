-- batch_record: batch tenant ("" for any) -> fields, spec | nothing
local batch = ARGV[1]
local tenant = call('HGET', 'f:b:' .. batch, 'tenant')
if not tenant or (ARGV[2] ~= '' and ARGV[2] ~= tenant) then
  return false
end
return {call('HGETALL', 'f:b:' .. batch), call('GET', 'f:s:' .. batch)}
