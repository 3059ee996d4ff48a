-- The keyspace, and what the verbs share. Every verb runs as the files of this folder (keys, due, jobs, grants), followed by
-- its own.
--
--   f:schema                       string  version of this keyspace
--   f:born                         string  its birth mark, a random id: another one is another farm, or this one emptied
--   f:synced                       string  empty; written so that there is a write to wait for until it is on disk
--   f:j:<job>                      hash    the job: status, counters, times. No value over 64 bytes: a single longer one
--                                          takes the hash from 0.5 kB to more than 2 kB
--   f:b:<batch>                    hash    the batch: jobs per status, sums of its jobs' counters, times
--   f:s:<id>                       string  spec of a job or batch, opaque to the store
--   f:o:<job>                      string  outcome: the result, or the error
--   f:text:<job>                   string  a short accepted text, until it is planned
--   f:r:<job> f:d:<job> f:c:<job>  string  a bit per segment: ready, done, found in storage; gone when the job ends
--   f:a:<job>                      hash    segment -> attempts lost, or "x" and the error of a dead one; gone when it ends
--   f:list:<tenant>                zset    job -> when it was accepted
--   f:lines:<batch>                zset    job -> its line in the batch
--   f:w:<owner>                    hash    outbox: number of the end -> event, space, the deliverer's record
--   f:idem:<digest>                string  idempotency key -> id, space, request digest; with a holder instead of an id
--                                          while reserved
--   f:count                        hash    status -> jobs
--   f:ev                           stream  the latest changes: o(wner), s(tatus)
--
--   f:ready                        hash    <model>:<lane> -> ready segments
--   f:turns:<model>                hash    segments that a waiting lane is owed, and the sequence of turns
--   f:ring:<model>:<lane>          zset    tenant -> sequence of its last turn
--   f:jobs:<model>:<lane>:<tenant> zset    job -> sequence of its last turn
--   f:load:<model>                 hash    <lane>:<tenant> -> ready segments
--   f:solo:<model>                 zset    quarantined segments, <job>:<segment>: each is claimed alone, because it has cost workers
--   f:lease                        zset    token -> when it expires
--   f:g:<token>                    hash    grant: w(orker), m(odel), and <job>:<segment> -> "1" once begun, "" before
--   f:swept                        string  when expired leases were last looked for
--   f:token                        string  counter of tokens
--
--   f:due:<kind>:<lane>:<tenant>   zset    timed work -> when it is due; leasing it moves that forward
--                                          (drafts, which belong to nobody yet: lane "bulk", tenant "")
--   f:desk:<kind>:<lane>           zset    tenant -> the later of its earliest due time and its last turn
--   f:due:token                    hash    <kind>:<id> -> token of whoever leased it
--   f:takes                        hash    first of the kinds that are taken together -> how many were taken
--
--   f:voices:<tenant> f:keys f:models f:beats hash; f:alive zset worker -> when its heartbeat ends; f:lock:<name> string
--
-- A job's status is in `f:j`; a segment is ready (bit), done (bit), dead ("x"), quarantined
-- (f:solo, as the first versions called it), and leased when none of these.
-- Every verb checks first and writes after, because Lua does not roll back. Names in capitals are the constants of
-- farm/store/call.py.

local call = redis.call

-- The last argument of every call is the birth mark of the keyspace that its caller opened. "" is any.
local born = table.remove(ARGV)
if born ~= '' and call('GET', 'f:born') ~= born then
  return redis.error_reply('REPLACED the keyspace is not the one that was opened')
end

-- Milliseconds by the clock of Redis: the only clock that leases and due times know.
local function now()
  local time = call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function number(value)
  return tonumber(value) or 0
end

-- Redis at maxmemory refuses a script at its first write that may need memory, but not after a write that needs none.
-- Verbs that drain the farm begin with this one, so that a full Redis can empty itself.
local function drains()
  call('DEL', 'f:none')
end

local function event(owner, status)
  call('XADD', 'f:ev', 'MAXLEN', '~', EVENTS_KEPT, '*', 'o', owner, 's', status)
end
