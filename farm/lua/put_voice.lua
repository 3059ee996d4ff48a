-- put_voice: tenant name voice limit -> 1 | 0
local key = 'f:voices:' .. ARGV[1]
if call('HEXISTS', key, ARGV[2]) == 0 and call('HLEN', key) >= tonumber(ARGV[4]) then
  return 0
end
call('HSET', key, ARGV[2], ARGV[3])
return 1
