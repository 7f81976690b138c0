-- Renew a run's lease, and the time that its keys live. It also tells whether an ended run is still known as that.
-- KEYS: 1 task, 2 output, 3 alive, 4 bell
-- ARGV: 1 task id, 2 ordinal, 3 nonce, 4 lease ms, 5 TTL ms
-- -> {'OK', end} | {'ENDED', end} | {'NORUN'}: not known, or its output is gone: begin it again
local task, run = KEYS[1], ARGV[2]
local known = redis.call('HMGET', task, run .. '.nonce', run .. '.end', run .. '.how', run .. '.first')
if known[1] ~= ARGV[3] then return { 'NORUN' } end
if is_hollow(KEYS[2], known[4], known[2]) then
  forget(task, run, ARGV[3])
  return { 'NORUN' }
end
if known[3] == 'LOST' then
  take_back(task, KEYS[4], ARGV[1], run)
elseif known[3] then
  return { 'ENDED', known[2] }
end
redis.call('ZADD', KEYS[3], now_ms() + tonumber(ARGV[4]), run .. '.' .. ARGV[3] .. '.' .. ARGV[1])
redis.call('PEXPIRE', task, ARGV[5])
redis.call('PEXPIRE', KEYS[2], ARGV[5])
return { 'OK', known[2] }
