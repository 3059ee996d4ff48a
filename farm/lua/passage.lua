-- passage: job number -> its first segment, the segment after its last | nothing
local job, number = unpack(ARGV)
local first = tonumber(number) > 0 and end_of_passage(job, number - 1) or 0
local last = end_of_passage(job, tonumber(number))
return last > 0 and {first, last} or false
