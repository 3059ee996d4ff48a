-- cancel_batch: batch tenant -> 1 | 0 when it had ended | nothing
local batch, tenant = unpack(ARGV)
local record = call('HMGET', 'f:b:' .. batch, 'tenant', 'completed', 'deleted')
if record[1] ~= tenant or record[3] then
  return false
end
if record[2] then
  return 0
end
drains()
local t = now()
call('HSET', 'f:b:' .. batch, 'stopped', 1)
skip_rest(batch, t)
schedule('batch', batch, t, t)
return 1
