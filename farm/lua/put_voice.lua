-- put_voice: tenant name voice limit bytes -> 1 | 0 | as accept "quota"
local tenant, name, voice, limit, bytes = unpack(ARGV)
local key = 'f:voices:' .. tenant
if call('HEXISTS', key, name) == 0 and call('HLEN', key) >= tonumber(limit) then
  return 0
end
local t = now()
local standing, refusal = admit(tenant, 0, tonumber(bytes), 0, t)
if refusal then
  schedule('sweep', tenant, t, t) -- of the recording, which is stored by now
  return refusal
end
count_request(tenant, standing)
call('HINCRBY', 'f:quota:' .. tenant, 'voices', bytes)
call('HSET', key, name, voice)
schedule('sweep', tenant, t, t)
return 1
