-- forget_quota: tenant
local tenant = unpack(ARGV)
drains()
call('DEL', 'f:quota:' .. tenant, 'f:held:' .. tenant, 'f:running:' .. tenant)
call('HDEL', 'f:lanes', tenant)
