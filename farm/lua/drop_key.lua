-- drop_key: name -> 1 | 0
-- drains(), because somebody who must not get in any more must not wait until a full Redis has room.
local name = unpack(ARGV)
drains()
local dropped = call('HDEL', 'f:keys', name)
call('SREM', 'f:operators', name)
if dropped == 1 then
  call('SET', 'f:closed', '')
end
return dropped
