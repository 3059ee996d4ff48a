-- retire: job revision token -> 1 | 0
local job, revision, token = unpack(ARGV)
local id = job .. '.' .. revision
if not holds('retire', id, token) then
  return 0
end
drains()
local kept, t = call('HGET', 'f:past:' .. job, revision), now()
unschedule('retire', id, t)
if not kept then
  return 0
end
call('HDEL', 'f:past:' .. job, revision)
grow(job, -#kept - string.match(kept, '^%d+ %d+ (%d+)'), -#kept)
return 1
