-- forget_batch: batch -> 1 | 0
local batch = unpack(ARGV)
if call('EXISTS', 'f:b:' .. batch) == 0 then
  return 0
end
drains()
local t = now()
unschedule('batch', batch, t)
unschedule('delete', batch, t)
unschedule('purge', batch, t)
forget_deliveries(batch, t)
call('UNLINK', 'f:b:' .. batch, 'f:s:' .. batch, 'f:lines:' .. batch) -- lines may be 50,000, too many to free here
drop_shared(batch)
return 1
