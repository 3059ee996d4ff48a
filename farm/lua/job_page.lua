-- job_page: tenant batch("" for none) after_score("" for none) after_id("" for none) limit -> records
local tenant, batch, after_score, after_id, limit = unpack(ARGV)
local key, jobs = batch == '' and 'f:list:' .. tenant or 'f:lines:' .. batch, nil
if batch ~= '' and call('HGET', 'f:b:' .. batch, 'tenant') ~= tenant then
  return {}
end

-- A page starts behind the last job seen, or behind its former place when that job has been deleted.
local rank, range, count = 'ZREVRANK', 'ZREVRANGE', function(score) return call('ZCOUNT', key, '(' .. score, '+inf') end
if batch ~= '' then
  rank, range, count = 'ZRANK', 'ZRANGE', function(score) return call('ZCOUNT', key, '-inf', score) end
end
local first = 0
if after_id ~= '' then
  local seen = call(rank, key, after_id)
  if seen then
    first = seen + 1
  else
    first = count(after_score)
    if batch == '' then
      for _, id in ipairs(call('ZREVRANGEBYSCORE', key, after_score, after_score)) do
        if id >= after_id then
          first = first + 1
        end
      end
    end
  end
end
jobs = call(range, key, first, first + limit - 1)
local records = {}
for _, job in ipairs(jobs) do
  records[#records + 1] = record_of(job)
end
return records
