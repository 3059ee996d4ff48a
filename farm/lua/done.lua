-- done: kind id token again_ms("" for never) -> 1 | 0
local kind, id, token, again_ms = unpack(ARGV)
if not holds(kind, id, token) then
  return 0
end
drains()
local t = now()
if again_ms == '' then
  unschedule(kind, id, t)
else
  schedule(kind, id, t + again_ms, t)
end
return 1
