-- drop_voice: tenant name -> what it was | nothing
local tenant, name = unpack(ARGV)
local voice = call('HGET', 'f:voices:' .. tenant, name)
call('HDEL', 'f:voices:' .. tenant, name)
return voice
