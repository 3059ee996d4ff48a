-- settled: job tenant -> status, segments, a bit for each that is done, outcome, dead segments, streamed(1|0), version | nothing
local job, tenant = unpack(ARGV)
local key = 'f:j:' .. job
local record = call('HMGET', key, 'status', 'tenant', 'total', 'dead', 'streamed', 'running', 'redos', 'revision')
if record[2] ~= tenant then
  return false
end
local version = (record[6] or '') .. '.' .. (record[7] or '') .. '.' .. (record[8] or '')
return {
  record[1], number(record[3]), call('GET', 'f:d:' .. job), call('GET', 'f:o:' .. job), number(record[4]),
  record[5] and 1 or 0, version
}
