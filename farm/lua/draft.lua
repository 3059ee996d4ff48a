-- draft: id after_ms -> something is being written to storage for an id that is not accepted yet
local t = now()
schedule('draft', ARGV[1], t + ARGV[2], t)
