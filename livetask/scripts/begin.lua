-- Open a run, or find it again: calling it twice with one nonce is the same as calling it once. What ended before it
-- was told of ends with it.
-- KEYS: 1 task, 2 alive, 3 recent, 4 bell, 5 output
-- ARGV: 1 task id, 2 nonce, 3 ordinal that it had ('-N': none yet, and N - 1 tries were before it), 4 first position,
--       5 why output is missing before it ('' when the first position is the start), 6 TTL ms, 7 lease ms, 8 cap of recent,
--       9 runs kept, 10 JSON object of task fields, 11 JSON object of run fields (values are strings); and of a run that
--       has ended by now, without output: 12 how, 13 detail (JSON), 14 CRC-32, 15 state of the task if no other run is
--       open, 16 when
-- -> {ordinal, end, how or '', nonce of a run that is no longer kept or ''}
local task, nonce = KEYS[1], ARGV[2]
local known = redis.call('HGET', task, 'nonce.' .. nonce)
if known then
  return { tonumber(known), redis.call('HGET', task, known .. '.end'), redis.call('HGET', task, known .. '.how') or '', '' }
end
local now = now_ms()
local last = tonumber(redis.call('HGET', task, 'runs') or '0')
local run = tonumber(ARGV[3])
-- A store that was emptied may be sent a retry before the runs that were before it: it leaves them their places.
local is_kept = run > 0 or -run > last - tonumber(ARGV[9])
run = math.abs(run)
if run == 0 or not is_kept or redis.call('HEXISTS', task, whole(run) .. '.nonce') == 1 then run = last + 1 end
local name = whole(run)
local how = ARGV[12]

local fields = { 'format', '1', 'state', 'RUNNING', 'changed_at', changed(task), 'runs', whole(math.max(run, last)) }
for key, value in pairs(cjson.decode(ARGV[10])) do
  if key == 'queued_at' then
    redis.call('HSETNX', task, key, value) -- who sent it may have said so before
  else
    fields[#fields + 1] = key
    fields[#fields + 1] = value
  end
end
local told = cjson.decode(ARGV[11])
for key, value in pairs(told) do
  fields[#fields + 1] = name .. '.' .. key
  fields[#fields + 1] = value
end
for key, value in pairs({ nonce = nonce, first = ARGV[4], first_why = ARGV[5], ['end'] = ARGV[4] }) do
  fields[#fields + 1] = name .. '.' .. key
  fields[#fields + 1] = value
end
local ended = how and ended_at(told.begun_at, ARGV[16], now)
if how then
  for key, value in pairs({ how = how, detail = by_whom(task, how, ARGV[13]), crc = ARGV[14], ended_at = ended }) do
    fields[#fields + 1] = name .. '.' .. key
    fields[#fields + 1] = value
  end
end
redis.call('HSET', task, 'nonce.' .. nonce, name, unpack(fields))
redis.call('UNLINK', KEYS[5]) -- what an eviction has left of it, which is sent again
-- A run that comes late, or again after a loss, began when its worker says, not now.
redis.call('HSETNX', task, 'began_at', told.begun_at or whole(now))
redis.call('HDEL', task, 'ended_at')
redis.call('PEXPIRE', task, ARGV[6])
if how then
  if redis.call('HINCRBY', task, 'open', 0) <= 0 then settle(task, name, ARGV[15], ended) end
else
  redis.call('HINCRBY', task, 'open', 1)
  redis.call('ZADD', KEYS[2], now + tonumber(ARGV[7]), name .. '.' .. nonce .. '.' .. ARGV[1])
end
remember(KEYS[3], ARGV[1], ARGV[8])
ring(KEYS[4], ARGV[1], name, how and 'end' or 'begin', ARGV[4])

-- A task that retries for ever keeps its last runs only. The caller deletes the stream of the one that goes.
local old = whole(run - tonumber(ARGV[9]))
local gone = redis.call('HMGET', task, old .. '.nonce', old .. '.how')
if not gone[1] or not gone[2] then return { run, ARGV[4], how or '', '' } end
redis.call('HDEL', task, 'nonce.' .. gone[1])
for _, field in ipairs(redis.call('HKEYS', task)) do
  if string.sub(field, 1, #old + 1) == old .. '.' then redis.call('HDEL', task, field) end
end
return { run, ARGV[4], how or '', gone[1] }
