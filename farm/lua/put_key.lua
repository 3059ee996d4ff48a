-- put_key: name digest tenant operator(1|0) -> 1 | 0
local name, digest, tenant, operator = unpack(ARGV)
local held = call('HGET', 'f:keys', name)
if held and string.match(held, '^%S+') ~= digest then
  return 0
end
call('SET', 'f:closed', '')
if not held then
  call('HSET', 'f:keys', name, digest .. ' ' .. string.format('%d', now()) .. ' ' .. tenant)
end
call(operator == '1' and 'SADD' or 'SREM', 'f:operators', name)
return 1
