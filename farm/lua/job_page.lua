-- job_page: tenant batch("" for none) after_score("" for none) after_id("" for none) limit -> records
local tenant, batch, after_score, after_id, limit = unpack(ARGV)
if batch ~= '' and call('HGET', 'f:b:' .. batch, 'tenant') ~= tenant then
  return {}
end
local key, records = batch == '' and 'f:list:' .. tenant or 'f:lines:' .. batch, {}
for _, job in ipairs(page_of(key, batch ~= '', after_score, after_id, limit)) do
  records[#records + 1] = record_of(job)
end
return records
