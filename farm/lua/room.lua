-- room: tenant characters bytes records -> nothing | as accept "quota"
-- A look before slow work. Counts nothing: the script that accepts has the last word.
local tenant, characters, bytes, records = unpack(ARGV)
local _, refusal = admit(tenant, characters, tonumber(bytes), tonumber(records), now())
return refusal or false
