-- job_record: job tenant("" for any) -> record, and while it runs: tenant rank, tenants, job rank, jobs, tenant's ready
-- segments, ready segments by lane | nothing
local job, tenant = unpack(ARGV)
local found = call('HMGET', 'f:j:' .. job, 'status', 'tenant')
if not found[1] or (tenant ~= '' and tenant ~= found[2]) then
  return false
end
if found[1] ~= 'running' then
  return {record_of(job)}
end
local at = place_of(job)
return {
  record_of(job), call('ZRANK', at.ring, at.tenant), call('ZCARD', at.ring), call('ZRANK', at.jobs, job),
  call('ZCARD', at.jobs), number(call('HGET', 'f:load:' .. at.model, at.lane .. ':' .. at.tenant)),
  call('HMGET', 'f:ready', at.model .. ':' .. LANES[1], at.model .. ':' .. LANES[2], at.model .. ':' .. LANES[3]),
}
