-- explain: job before after -> 1 | 0 when the outcome is not `before`
local job, before, after = unpack(ARGV)
if call('GET', 'f:o:' .. job) ~= before then
  return 0
end
call('SET', 'f:o:' .. job, after)
return 1
