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
local known = redis.call('HMGET', task, 'nonce.' .. nonce, 'runs', 'open', 'changed_at', 'ended_at', 'began_at',
  'queued_at', 'stopping_at')
if known[1] then
  local old = redis.call('HMGET', task, known[1] .. '.end', known[1] .. '.how')
  return { tonumber(known[1]), old[1], old[2] or '', '' }
end
local now = now_ms()
local last, open = tonumber(known[2] or '0'), tonumber(known[3] or '0')
local run, kept = tonumber(ARGV[3]), tonumber(ARGV[9])
-- A store that was emptied may be sent a retry before the runs that were before it: it leaves them their places.
local is_kept = run > 0 or -run > last - kept
run = math.abs(run)
if run == 0 or not is_kept or (run <= last and redis.call('HEXISTS', task, whole(run) .. '.nonce') == 1) then
  run = last + 1
end
last = math.max(run, last)
local name, how = whole(run), ARGV[12]
local state, told = 'RUNNING', cjson.decode(ARGV[11])
if not how then open = open + 1 end

-- All in one HSET: what is known was read above, and a command costs more than all else that is done here.
local fields = { 'nonce.' .. nonce, name, 'format', '1', 'changed_at', whole(not_before(known[4])), 'runs', whole(last),
  'open', whole(open) }
local n = #fields
local function set(field, value)
  fields[n + 1], fields[n + 2] = field, value
  n = n + 2
end
for key, value in pairs(cjson.decode(ARGV[10])) do
  if key ~= 'queued_at' or not known[7] then set(key, value) end -- who sent it may have said before when
end
-- Two workers may hold one message: of their runs, the one that was delivered first need not begin first.
if run > 1 and told.why == 'first' then told.why = 'redelivered' end
for key, value in pairs(told) do set(name .. '.' .. key, value) end
set(name .. '.nonce', nonce)
set(name .. '.first', ARGV[4])
set(name .. '.first_why', ARGV[5])
set(name .. '.end', ARGV[4])
-- A run that comes late, or again after a loss, began when its worker says, not now.
if not known[6] then set('began_at', told.begun_at or whole(now)) end
local has_ended = false
if how then
  local ended = ended_at(told.begun_at, ARGV[16], now)
  set(name .. '.how', how)
  set(name .. '.detail', by_whom(task, how, ARGV[13]))
  set(name .. '.crc', ARGV[14])
  set(name .. '.ended_at', ended)
  if open <= 0 then
    state = state_after(task, last, run, ARGV[15])
    has_ended = state ~= 'RETRY' and state ~= 'QUEUED'
    if has_ended then set('ended_at', ended) end
  end
end
set('state', state)
redis.call('HSET', task, unpack(fields))
if known[5] and not has_ended then redis.call('HDEL', task, 'ended_at') end
if known[8] and has_ended then stopped(task, state) end
redis.call('PEXPIRE', task, ARGV[6])
if not how then
  redis.call('UNLINK', KEYS[5]) -- what an eviction has left of it, which is sent again
  redis.call('ZADD', KEYS[2], now + tonumber(ARGV[7]), name .. '.' .. nonce .. '.' .. ARGV[1])
end
remember(KEYS[3], ARGV[1], ARGV[8])
ring(KEYS[4], ARGV[1], name, how and 'end' or 'begin', ARGV[4])

-- A task that retries for ever keeps its last runs only. The caller deletes the stream of the one that goes.
if run <= kept then return { run, ARGV[4], how or '', '' } end
local old = whole(run - kept)
local gone = redis.call('HMGET', task, old .. '.nonce', old .. '.how')
if not gone[1] or not gone[2] then return { run, ARGV[4], how or '', '' } end
redis.call('HDEL', task, 'nonce.' .. gone[1])
for _, field in ipairs(redis.call('HKEYS', task)) do
  if string.sub(field, 1, #old + 1) == old .. '.' then redis.call('HDEL', task, field) end
end
return { run, ARGV[4], how or '', gone[1] }
