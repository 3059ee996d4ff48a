-- renew: token lease_ms -> nothing when the lease is gone, else the jobs of it that no longer run
local token, lease_ms = unpack(ARGV)
if not call('ZSCORE', 'f:lease', token) then
  return false
end
drains()
call('ZADD', 'f:lease', now() + lease_ms, token)
local seen, unwanted = {}, {}
for _, field in ipairs(call('HKEYS', 'f:g:' .. token)) do
  local job = split(field)
  if job and not seen[job] then
    seen[job] = true
    if call('HGET', 'f:j:' .. job, 'status') ~= 'running' then
      unwanted[#unwanted + 1] = job
    end
  end
end
return unwanted
