-- drop_voice: tenant name -> what it was | nothing
local voice = call('HGET', 'f:voices:' .. ARGV[1], ARGV[2])
call('HDEL', 'f:voices:' .. ARGV[1], ARGV[2])
return voice
