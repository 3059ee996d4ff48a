-- The keyspace, and what every verb begins with. A verb runs as one script: what it uses of the constants of
-- farm/store/call.py (the names in capitals) and of the files of this folder, then the file of the verb.
--
-- Words
--   owner        a job or a batch, where the store treats both alike; an id names either
--   end          one end of an owner. A retry makes further ends possible, so they are numbered from 1
--   lane, turn   a model has three lanes; within a lane tenants take turns, and within a tenant jobs do
--   lease        the right to work on something until a time of Redis's clock; a token names it, and a later lease of the
--                same thing has another token, which makes the first one late
--   grant        the segments under one lease
--   begun        a segment that the engine has started on. Only such a segment loses an attempt with its worker
--   dead         a segment that has lost MAX_ATTEMPTS attempts
--   quarantined  a segment that has lost QUARANTINE_AFTER attempts. It is claimed alone, so that it takes no neighbours
--                with it. Its key is called f:solo, because data of the first versions must be read
--   revision     what is spoken of a job, numbered from 1. An edit makes the next one; a field `revision` of the job says
--                which one it has, unless that is the first
--   desk         timed work, and the workers that do it: plan, assemble, deliver, expire, delete, …
--   draft        something that was written to storage before its owner is accepted
--
-- The farm
--   f:schema                       string  version of this keyspace
--   f:born                         string  birth mark, a random id. Another mark means another farm, or this one emptied
--   f:storage                      string  birth mark of the storage. A part that sees another one does not start
--   f:synced                       string  empty. Writing it gives WAITAOF a write to wait for
--   f:token                        string  counter of tokens
--   f:count                        hash    status -> jobs
--   f:tally                        hash    counters that only grow, for /metrics: farm/store/tally.py names the fields
--   f:ev                           stream  the latest changes: o(wner), s(tatus), t(enant), b(atch of a job, or "")
--   f:settled                      stream  the latest jobs of which clips were settled: o(wner), t(enant), b(atch)
--   f:idem:<digest>                string  an idempotency key: id, space, request digest. While it is reserved, "?" and its
--                                          holder stand in place of the id
--
-- Jobs and batches
--   f:j:<job>                      hash    the job: status, counters, times, traceparent. No value has more than 64 bytes: a single
--                                          longer one takes the hash from 0.5 kB to more than 2 kB
--   f:b:<batch>                    hash    the batch: jobs by status, sums of its jobs' counters, times
--   f:s:<id>                       string  spec of a job or batch, opaque to the store. That of a job with the field `shares`
--                                          is a merge patch of f:shared
--   f:shared:<batch>               hash    spec: what its jobs share of theirs; jobs: how many of them are left
--   f:o:<job>                      string  outcome: the result, or the error
--   f:past:<job>                   hash    number of an earlier revision -> what is kept of it: times of its end and of the end of
--                                          its retention, bytes of its result; its segments, those that were rendered, those
--                                          whose clip was there; its outcome. Gone with the result
--   f:text:<job>                   string  a short accepted text, until it is planned
--   f:r:<job> f:d:<job> f:c:<job>  string  a bit for each segment: ready, done, cached (found in storage). Gone when the
--                                          job ends
--   f:l:<job>                      string  a bit for each segment of which somebody should listen to the clip. Gone when the
--                                          job ends
--   f:a:<job>                      hash    segment -> number of attempts lost; "x" and the error once it is dead. Gone when
--                                          the job ends
--   f:p:<job>                      string  for each passage two numbers of four bytes: the segment after its last one, and how
--                                          many of its segments are neither done nor dead. Its task is due at 0. The field
--                                          `passages` of the job counts these tasks, for which its assembly waits. Gone when
--                                          the job ends
--   f:list:<tenant>                zset    job -> time of acceptance
--   f:batches:<tenant>             zset    batch -> time of acceptance, of those that are not deleted
--   f:lines:<batch>                zset    job -> its line in the batch
--   f:quota:<tenant>               hash    what the tenant has in use (characters, bytes, records, and voices as a part of the
--                                          bytes), requests since a time, and its limits (most_…): shared/quota.lua
--   f:lanes                        hash    tenant -> the highest lane that it may use, where one is set
--   f:w:<owner>                    hash    outbox: number of an end -> event, space, record of its deliveries
--
-- Rendering
--   f:ready                        hash    <model>:<lane> -> ready segments
--   f:turns:<model>                hash    <lane> -> segments owed to it; sequence: number of the latest turn; solo: 1 where
--                                          the latest claim beside quarantined segments took one of these, else 0
--   f:ring:<model>:<lane>          zset    tenant -> number of its latest turn
--   f:jobs:<model>:<lane>:<tenant> zset    job -> number of its latest turn
--   f:load:<model>                 hash    <lane>:<tenant> -> ready segments
--   f:solo:<model>                 zset    quarantined <job>:<segment> -> number of a turn
--   f:lease                        zset    token of a grant -> time of expiry
--   f:g:<token>                    hash    the grant: w(orker), m(odel), and <job>:<segment> -> "1" once begun, "" before
--   f:held:<tenant>                hash    token of a grant -> segments of the tenant in it, for tenants with a limit; tokens
--                                          of grants that are gone do not count
--   f:running:<tenant>             set     jobs that are under way: running, and a segment of them was claimed (`started`)
--   f:swept                        string  time of the latest sweep of expired leases
--
-- Timed work
--   f:due:<kind>:<lane>:<tenant>   zset    id -> due time. A lease moves the due time forward. Drafts belong to no tenant
--                                          yet: their lane is "bulk" and their tenant ""
--   f:due:token                    hash    <kind>:<id> -> token of the lease
--   f:desk:<kind>:<lane>           zset    tenant -> its earliest due time, or its latest turn where that is later
--   f:takes                        hash    first of the kinds that are taken together -> number of takes
--
-- Everything else
--   f:voices:<tenant>              hash    name -> the uploaded voice, opaque to the store
--   f:docs:<tenant>                hash    document -> its bytes in storage, a blank, and its record, opaque to the store
--   f:lexicons:<tenant>            hash    lexicon -> the bytes of its versions in storage, a blank, and its record, opaque to
--                                          the store
--   f:keys                         hash    name -> digest, time and tenant of an API key
--   f:operators                    set     names of the keys that are an operator's
--   f:secrets:<tenant>             zset    generation of the secret of its webhooks -> time from which it signs; without it the
--                                          generation is 0
--   f:counted                      string  empty, for a day: quotas were compared with all jobs
--   f:sessions:<key>               zset    SHA-256 of the secret of a browser's session -> time of its end; <key> is the digest
--                                          of the API key that opened it
--   f:tickets                      string  the secret by which addresses for listening are signed
--   f:closed                       string  empty. A key was made once, so the farm answers nobody without one
--   f:models                       hash    model -> its card
--   f:beats f:alive                hash, zset  worker -> its heartbeat, and the time at which that ends
--   f:ends:<place>                 string  how the latest workers of a host, model and GPU ended, opaque to the store
--   f:lock:<name>                  string  holder
--
-- The status of a job is in f:j. A segment of a running job is ready (a bit), done (a bit), dead ("x"), quarantined
-- (f:solo), or leased, which is none of these. Every verb checks first and writes after, because Lua does not roll back.

local call = redis.call

-- The last argument of every call is the birth mark of the keyspace that its caller opened. "" fits every keyspace.
local born = table.remove(ARGV)
if born ~= '' and call('GET', 'f:born') ~= born then
  return redis.error_reply('REPLACED the keyspace is not the one that was opened')
end

-- Milliseconds by the clock of Redis. Leases and due times know no other clock.
local function now()
  local time = call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function number(value)
  return tonumber(value) or 0
end

-- A Redis at maxmemory refuses a script at the first write that may need memory, unless a write that needs none came
-- before. So verbs that drain the farm begin with this write, and a full Redis can be emptied.
local function drains()
  call('DEL', 'f:none')
end

-- Counts something for /metrics, under words that are joined by "|".
local function count_up(k, ...)
  if k ~= 0 then
    call('HINCRBY', 'f:tally', table.concat({...}, '|'), k)
  end
end

-- The bucket of a span of time in the histograms.
local function bucket_of(ms)
  local bucket = 1
  while BUCKETS_MS[bucket] and ms > BUCKETS_MS[bucket] do
    bucket = bucket + 1
  end
  return bucket
end

-- Counts a span of time in the histogram of that name: in its bucket, and in its sum.
local function observe(ms, ...)
  local words = {...}
  words[#words + 1] = bucket_of(ms)
  count_up(1, unpack(words))
  words[#words] = 'ms'
  count_up(ms, unpack(words))
end

local function event(owner, status, tenant, batch)
  call('XADD', 'f:ev', 'MAXLEN', '~', EVENTS_KEPT, '*', 'o', owner, 's', status, 't', tenant, 'b', batch or '')
end

-- Apart from the events, because a book settles thousands of clips and an event must be found for longer. A settle trims the
-- stream once, after its last job: each time took a third of the entry itself.
local function clips_settled(job, tenant, batch)
  call('XADD', 'f:settled', '*', 'o', job, 't', tenant, 'b', batch or '')
end
