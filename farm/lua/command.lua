-- command: part… -> the command's answer
return call(unpack(ARGV))
