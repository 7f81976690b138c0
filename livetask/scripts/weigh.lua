-- Say how much the spools of a worker hold, for as long as its lease.
-- KEYS: 1 spools
-- ARGV: 1 worker, 2 lease ms, 3 the figures as JSON
-- -> {'OK'}
local lease = tonumber(ARGV[2])
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', now_ms() + lease) .. ' ' .. ARGV[3])
redis.call('PEXPIRE', KEYS[1], lease * 2)
return { 'OK' }
