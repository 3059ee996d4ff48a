-- drop_voice: tenant name -> what it was | nothing
local tenant, name = unpack(ARGV)
local voice = call('HGET', 'f:voices:' .. tenant, name)
if voice then
  drains()
  local t = now()
  call('HDEL', 'f:voices:' .. tenant, name)
  schedule('sweep', tenant, t, t)
end
return voice
