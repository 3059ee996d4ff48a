-- keys: -> name and key, names of operators' keys, closed(1|0), tenant and its highest lane
return {call('HGETALL', 'f:keys'), call('SMEMBERS', 'f:operators'), call('EXISTS', 'f:closed', 'f:keys'), call('HGETALL', 'f:lanes')}
