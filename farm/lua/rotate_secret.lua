-- rotate_secret: tenant -> the number of the new generation
local tenant = unpack(ARGV)
local key, t = 'f:secrets:' .. tenant, now()
local latest = number(call('ZRANGE', key, -1, -1)[1])
call('ZREMRANGEBYSCORE', key, '-inf', t - SECRET_OVERLAP_MS)
call('ZADD', key, t, latest + 1)
return latest + 1
