-- put_voice: tenant name voice limit -> 1 | 0
local tenant, name, voice, limit = unpack(ARGV)
local key = 'f:voices:' .. tenant
if call('HEXISTS', key, name) == 0 and call('HLEN', key) >= tonumber(limit) then
  return 0
end
call('HSET', key, name, voice)
local t = now()
schedule('sweep', tenant, t, t)
return 1
