-- weigh_voices: tenant bytes
-- Corrects what the recordings of a tenant count for: superseded ones count until they are swept.
local tenant, bytes = unpack(ARGV)
drains()
use(tenant, 0, bytes - number(call('HGET', 'f:quota:' .. tenant, 'voices')), 0)
call('HSET', 'f:quota:' .. tenant, 'voices', bytes)
