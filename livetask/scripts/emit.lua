-- Add one event of a run at the one number where it belongs.
-- KEYS: 1 task, 2 events, 3 bell, 4 watched
-- ARGV: 1 task id, 2 ordinal, 3 nonce, 4 number of the event (from 1), 5 TTL ms,
--       6.. fields of the event: 'name', 'data' (see parcel.py), 'at' (position in the output where it stands)
-- -> {'OK'} | {'DUP', last}: already held | {'GAP', last}: not what comes next | {'NORUN'}
if redis.call('HGET', KEYS[1], ARGV[2] .. '.nonce') ~= ARGV[3] then return { 'NORUN' } end
local newest = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)
local last = newest[1] and tonumber(string.match(newest[1][1], '^(%d+)')) or 0
local seq = tonumber(ARGV[4])
if seq <= last then return { 'DUP', last } end
if seq ~= last + 1 then return { 'GAP', last } end
redis.call('XADD', KEYS[2], ARGV[4] .. '-0', unpack(ARGV, 6))
redis.call('PEXPIRE', KEYS[2], ARGV[5])
local lease = redis.call('ZSCORE', KEYS[4], ARGV[1])
if lease and tonumber(lease) > now_ms() then ring(KEYS[3], ARGV[1], ARGV[2], 'event', ARGV[4]) end
return { 'OK' }
