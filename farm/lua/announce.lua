-- announce: model card
local model, card = unpack(ARGV)
drains()
call('HSET', 'f:models', model, card)
