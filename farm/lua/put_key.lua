-- put_key: name digest tenant -> 1 | 0
local held = call('HGET', 'f:keys', ARGV[1])
if held then
  return string.match(held, '^%S+') == ARGV[2] and 1 or 0
end
call('HSET', 'f:keys', ARGV[1], ARGV[2] .. ' ' .. string.format('%d', now()) .. ' ' .. ARGV[3])
return 1
