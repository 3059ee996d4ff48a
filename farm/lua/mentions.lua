-- mentions: tenant first count, text… -> how many jobs it looked at, the texts that the specs of open ones mention
local tenant, first, count = unpack(ARGV, 1, 3)
local jobs = call('ZRANGE', 'f:list:' .. tenant, first, first + count - 1)
local texts, found = {unpack(ARGV, 4)}, {}
for _, job in ipairs(jobs) do
  if MOVES.cancel[call('HGET', 'f:j:' .. job, 'status')] then
    local record = record_of(job)
    local spec = record[3] .. (record[5] or '')
    for x = #texts, 1, -1 do
      if string.find(spec, texts[x], 1, true) then
        found[#found + 1] = table.remove(texts, x)
      end
    end
  end
end
return {#jobs, found}
