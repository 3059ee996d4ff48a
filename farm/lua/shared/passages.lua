-- Passages: the stretches of a long job that the desk makes while the rest is rendered (farm/passages.py). They only save
-- time: assembly makes each that is missing. So the segments of a passage are counted once, and after a redo never again.

local function has_passages(job)
  return call('EXISTS', 'f:p:' .. job) == 1
end

-- The segment after the last of a passage; 0 for a passage that the job does not have.
local function end_of_passage(job, number)
  return call('BITFIELD', 'f:p:' .. job, 'GET', 'u32', '#' .. 2 * number)[1]
end

local function passage_of(job, segment, count)
  local low, high = 0, count - 1
  while low < high do
    local middle = math.floor((low + high) / 2)
    if end_of_passage(job, middle) > segment then
      high = middle
    else
      low = middle + 1
    end
  end
  return low
end

local function make_due(job, number, t)
  schedule('passage', job .. '.' .. number, t, t)
  call('HINCRBY', 'f:j:' .. job, 'passages', 1)
end

-- These segments of a job are done or dead from now on. Returns how many passages are due by that.
local function pass(job, segments, t)
  local key = 'f:p:' .. job
  local count, due, x = call('STRLEN', key) / 8, 0, 1
  while count > 0 and x <= #segments do
    local segment = tonumber(segments[x])
    local number = passage_of(job, segment, count)
    local first, last, k = number > 0 and end_of_passage(job, number - 1) or 0, end_of_passage(job, number), 0
    repeat
      k, x = k + 1, x + 1
      segment = tonumber(segments[x])
    until not segment or segment < first or segment >= last
    if call('BITFIELD', key, 'INCRBY', 'u32', '#' .. 2 * number + 1, -k)[1] == 0 then
      make_due(job, number, t)
      due = due + 1
    end
  end
  return due
end

-- Makes passages due again, "0,3,4": those that are made, and neither due nor in the making. Returns how many.
local function pass_again(job, numbers, t)
  local due = 0
  for number in string.gmatch(numbers, '%d+') do
    local left = call('BITFIELD', 'f:p:' .. job, 'GET', 'u32', '#' .. 2 * number + 1)[1]
    if end_of_passage(job, number) > 0 and left == 0 and not is_scheduled('passage', job .. '.' .. number) then
      make_due(job, number, t)
      due = due + 1
    end
  end
  return due
end

local function drop_passages(job, t)
  local key = 'f:p:' .. job
  if call('HDEL', 'f:j:' .. job, 'passages') == 1 then
    for number = 0, call('STRLEN', key) / 8 - 1 do
      if call('BITFIELD', key, 'GET', 'u32', '#' .. 2 * number + 1)[1] == 0 then
        unschedule('passage', job .. '.' .. number, t)
      end
    end
  end
  call('DEL', key)
end
