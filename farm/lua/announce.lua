-- announce: model card
drains()
call('HSET', 'f:models', ARGV[1], ARGV[2])
