-- End a run, once: the first end that was seen wins, but LOST gives way to any other.
-- KEYS: 1 task, 2 output, 3 alive, 4 recent, 5 bell
-- ARGV: 1 task id, 2 ordinal ('' for the one that the nonce has), 3 nonce, 4 final position ('' for 'where it stands', used with LOST), 5 how,
--       6 detail (JSON), 7 CRC-32 of the output ('' if unknown), 8 state of the task if this is its last run and no other is open,
--       9 TTL ms, 10 cap of recent, 11 '1': only if the lease is over, 12 JSON object of task fields,
--       13 when it ended, ms, as its worker's clock says; '' or in the future: now
-- -> {'OK'} | {'ENDED', how} | {'GAP', end}: output is missing before the final position | {'ALIVE'} | {'NORUN'}
local task, run, how = KEYS[1], ARGV[2], ARGV[5]
if run == '' then run = redis.call('HGET', task, 'nonce.' .. ARGV[3]) or '' end
local known = redis.call('HMGET', task, run .. '.nonce', run .. '.end', run .. '.how')
local member = run .. '.' .. ARGV[3] .. '.' .. ARGV[1]
if known[1] ~= ARGV[3] then
  if ARGV[11] == '1' then redis.call('ZREM', KEYS[3], member) end
  return { 'NORUN' }
end
if known[3] and (known[3] ~= 'LOST' or how == 'LOST') then
  redis.call('ZREM', KEYS[3], member)
  return { 'ENDED', known[3] }
end
local now = now_ms()
if ARGV[11] == '1' then
  local lease = redis.call('ZSCORE', KEYS[3], member)
  if lease and tonumber(lease) > now then return { 'ALIVE' } end
end
if ARGV[4] ~= '' and ARGV[4] ~= known[2] then return { 'GAP', known[2] } end

local ended = ended_at(redis.call('HGET', task, run .. '.begun_at'), ARGV[13], now)
redis.call('HSET', task, run .. '.how', how, run .. '.detail', by_whom(task, how, ARGV[6]), run .. '.crc', ARGV[7],
  run .. '.ended_at', ended, 'changed_at', changed(task))
local open = tonumber(redis.call('HGET', task, 'open') or '0')
if not known[3] then open = redis.call('HINCRBY', task, 'open', -1) end
if open <= 0 then settle(task, run, ARGV[8], ended) end
for key, value in pairs(cjson.decode(ARGV[12])) do redis.call('HSET', task, key, value) end
redis.call('PEXPIRE', task, ARGV[9])
redis.call('PEXPIRE', KEYS[2], ARGV[9])
redis.call('ZREM', KEYS[3], member)
remember(KEYS[4], ARGV[1], ARGV[10])
ring(KEYS[5], ARGV[1], run, 'end', known[2])
return { 'OK' }
