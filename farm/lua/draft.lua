-- draft: id after_ms
-- Announces that an object is written to storage for an id that is not accepted yet.
local id, after_ms = unpack(ARGV)
local t = now()
schedule('draft', id, t + after_ms, t)
