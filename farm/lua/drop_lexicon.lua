-- drop_lexicon: tenant name -> what it was | nothing
local tenant, name = unpack(ARGV)
return drop_counted(tenant, 'f:lexicons:' .. tenant, name)
