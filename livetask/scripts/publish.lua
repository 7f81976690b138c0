-- Publish how the tasks of a worker are called, or renew that.
-- KEYS: 1 publishers, 2 forms
-- ARGV: 1 member (digest.worker), 2 TTL ms, 3 the forms as JSON, or '' to renew only
-- -> {'OK'} | {'GONE'}: to be renewed, but not there any more: send the forms
local now, ttl = now_ms(), tonumber(ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if ARGV[3] ~= '' then
  redis.call('SET', KEYS[2], ARGV[3], 'PX', ttl * 2)
elseif redis.call('PEXPIRE', KEYS[2], ttl * 2) == 0 then
  return { 'GONE' }
end
redis.call('ZADD', KEYS[1], now + ttl, ARGV[1])
if redis.call('PTTL', KEYS[1]) < ttl * 2 then redis.call('PEXPIRE', KEYS[1], ttl * 2) end
return { 'OK' }
