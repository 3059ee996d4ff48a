-- unreserve: idem_key request_digest
drains()
local holder, digest = string.match(call('GET', 'f:idem:' .. ARGV[1]) or '', '^(%?%S*) (.*)$')
if holder and digest == ARGV[2] then
  call('DEL', 'f:idem:' .. ARGV[1])
end
