-- own_queue: tenant -> model, its ready segments by lane, …
local tenant = unpack(ARGV)
local found = {}
for _, model in ipairs(call('HKEYS', 'f:models')) do
  found[#found + 1] = model
  found[#found + 1] = call('HMGET', 'f:load:' .. model, LANES[1] .. ':' .. tenant, LANES[2] .. ':' .. tenant, LANES[3] .. ':' .. tenant)
end
return found
