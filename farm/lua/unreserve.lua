-- unreserve: idem_key request_digest
local idem_key, request_digest = unpack(ARGV)
drains()
local holder, digest = string.match(call('GET', 'f:idem:' .. idem_key) or '', '^(%?%S*) (.*)$')
if holder and digest == request_digest then
  call('DEL', 'f:idem:' .. idem_key)
end
