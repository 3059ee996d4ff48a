-- settled: job tenant -> status, segments, a bit for each that is done, outcome | nothing
local job, tenant = unpack(ARGV)
local record = call('HMGET', 'f:j:' .. job, 'status', 'tenant', 'total')
if record[2] ~= tenant then
  return false
end
return {record[1], number(record[3]), call('GET', 'f:d:' .. job), call('GET', 'f:o:' .. job)}
