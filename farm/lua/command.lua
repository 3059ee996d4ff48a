-- command: name argument… -> its answer
return call(unpack(ARGV))
