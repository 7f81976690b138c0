-- Add one event of a run to the stream of its room, once, whatever the room's stream has of other runs.
-- KEYS: 1 room, 2 mark: the number of the run's last event that the room has, 3 bell of the room's bucket
-- ARGV: 1 name of the room, 2 number of the event (from 1), 3 TTL ms, 4 how many events a room keeps,
--       5.. fields of the event: 'name', 'data', 'task', 'run', 'nonce', 'seq'
-- -> {'OK'} | {'DUP', last}: already held | {'GAP', last}: not what comes next
local known = redis.call('GET', KEYS[2])
local seq = tonumber(ARGV[2])
if known and seq <= tonumber(known) then return { 'DUP', tonumber(known) } end
if known and seq ~= tonumber(known) + 1 then return { 'GAP', tonumber(known) } end
redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[4], '*', unpack(ARGV, 5))
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
ring(KEYS[3], ARGV[1], '0', 'room', '')
return { 'OK' }
