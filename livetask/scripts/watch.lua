-- Take or renew the lease on tasks of one bucket whose bell shall ring for output.
-- KEYS: 1 watched
-- ARGV: 1 lease ms, 2.. task ids
-- -> {'OK'}
local now = now_ms()
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], now + tonumber(ARGV[1]), ARGV[i]) end
redis.call('PEXPIRE', KEYS[1], tonumber(ARGV[1]) * 2)
return { 'OK' }
