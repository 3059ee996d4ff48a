-- done: kind id token again_ms ("" for never) -> 1 | 0
local kind, id = ARGV[1], ARGV[2]
if not holds(kind, id, ARGV[3]) then
  return 0
end
drains()
local t = now()
if ARGV[4] == '' then
  unschedule(kind, id, t)
else
  schedule(kind, id, t + ARGV[4], t)
end
return 1
