-- put_key: name digest tenant -> 1 | 0
local name, digest, tenant = unpack(ARGV)
local held = call('HGET', 'f:keys', name)
if held then
  return string.match(held, '^%S+') == digest and 1 or 0
end
call('SET', 'f:closed', '')
call('HSET', 'f:keys', name, digest .. ' ' .. string.format('%d', now()) .. ' ' .. tenant)
return 1
