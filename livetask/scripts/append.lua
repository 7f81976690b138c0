-- Add one entry at the one position where it belongs.
-- KEYS: 1 task, 2 output, 3 bell, 4 watched
-- ARGV: 1 task id, 2 ordinal, 3 nonce, 4 position of the first byte, 5 position after the last byte,
--       6 cap of the run in bytes, 7 TTL ms, 8.. fields of the entry: 'd' data | 'g' reason and 'e' end, and 't',
--       's', 'x'
-- -> {'OK'} | {'DUP', end}: already held | {'GAP', end}: not what comes next | {'ENDED', end}
--    | {'NORUN'}: not known, or its output is gone: begin it again
local task, output, run = KEYS[1], KEYS[2], ARGV[2]
local known = redis.call('HMGET', task, run .. '.nonce', run .. '.end', run .. '.first', run .. '.how')
if known[1] ~= ARGV[3] then return { 'NORUN' } end
local _, have = place(known[2])
local _, from = place(ARGV[4])
local _, to = place(ARGV[5])
if to <= have then return { 'DUP', known[2] } end
if ARGV[4] ~= known[2] then return { 'GAP', known[2] } end
if is_hollow(output, known[3], known[2]) and (not known[4] or known[4] == 'LOST') then
  forget(task, run, ARGV[3])
  return { 'NORUN' }
end
if known[4] == 'LOST' then
  take_back(task, KEYS[3], ARGV[1], run)
elseif known[4] then
  return { 'ENDED', known[2] }
end
redis.call('XADD', output, ARGV[4], unpack(ARGV, 8))
redis.call('PEXPIRE', output, ARGV[7])

-- The ring: whole entries leave at the head. They leave in batches, and at most 128 in one call, so that one
-- append stays short whatever the size of the entries.
local cap = tonumber(ARGV[6])
local first = known[3]
local _, low = place(first)
if to - low > cap + cap / 16 then
  for _ = 1, 128 do
    if to - low <= cap then break end
    local head = redis.call('XRANGE', output, '-', '+', 'COUNT', 2)
    if #head < 2 then break end
    redis.call('XDEL', output, head[1][1])
    first = head[2][1]
    _, low = place(first)
  end
  redis.call('HSET', task, run .. '.end', ARGV[5], run .. '.first', first, run .. '.first_why', 'trimmed')
else
  redis.call('HSET', task, run .. '.end', ARGV[5])
end

-- Eight times while the ring fills: what is archived while it grows is read before it leaves.
local step = cap / 8
if math.floor(to / step) > math.floor(have / step) then ring(KEYS[3], ARGV[1], run, 'grown', ARGV[5]) end

local lease = redis.call('ZSCORE', KEYS[4], ARGV[1])
if lease and tonumber(lease) > now_ms() then ring(KEYS[3], ARGV[1], run, 'output', ARGV[5]) end
return { 'OK' }
