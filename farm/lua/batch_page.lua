-- batch_page: tenant after_score("" for none) after_id("" for none) limit -> records
local tenant, after_score, after_id, limit = unpack(ARGV)
local key, records = 'f:batches:' .. tenant, {}
for _, batch in ipairs(page_of(key, false, after_score, after_id, limit)) do
  local found = call('HMGET', 'f:b:' .. batch, 'created', 'deleted')
  if found[1] and not found[2] then
    records[#records + 1] = record_of_batch(batch)
  else -- a worker of a release without this list has deleted it
    call('ZREM', key, batch)
  end
end
return records
