-- Note the wish that a task stops: one that waits never begins, one that runs is asked to end.
-- KEYS: 1 task, 2 stops, 3 recent, 4 bell
-- ARGV: 1 task id, 2 how ('cancel' | 'terminate'), 3 by whom, 4 TTL ms, 5 cap of recent, 6 cap of stops
-- -> {'WAITED'}: it is REVOKED now, by this wish | {'RUNS'} | {'ENDED'}: nothing was noted | {'UNKNOWN'}: noted for whoever gets it
local task, stops = KEYS[1], KEYS[2]
local now = now_ms()
local known = redis.call('HMGET', task, 'state', 'open')
local runs = tonumber(known[2] or '0') > 0
local waits = known[1] == 'QUEUED' or known[1] == 'RETRY'
if known[1] and not runs and not waits and known[1] ~= 'RUNNING' then
  -- A worker that was told by Celery may have been faster than this wish; it does not know who wished.
  local fresh = known[1] == 'REVOKED' and redis.call('HEXISTS', task, 'runs') == 0
  if not fresh or redis.call('HSETNX', task, 'revoked_by', ARGV[3]) == 0 then return { 'ENDED' } end
  redis.call('HSETNX', task, 'revoked_at', whole(now))
  waits = true
end

redis.call('XADD', stops, 'MAXLEN', '~', ARGV[6], '*', 'task', ARGV[1], 'how', ARGV[2], 'by', ARGV[3])
redis.call('XTRIM', stops, 'MINID', '~', whole(math.max(0, now - tonumber(ARGV[4]))))
redis.call('PEXPIRE', stops, ARGV[4])
if not known[1] then return { 'UNKNOWN' } end

if runs then
  redis.call('HSETNX', task, 'stopping_at', whole(now))
  redis.call('HSETNX', task, 'stopping_by', ARGV[3])
  redis.call('HSET', task, 'stopping_how', ARGV[2], 'changed_at', changed(task))
else
  redis.call('HSET', task, 'state', 'REVOKED', 'result', 'revoked', 'revoked_at', whole(now), 'revoked_by', ARGV[3],
    'ended_at', whole(now), 'changed_at', changed(task))
end
if redis.call('PTTL', task) < tonumber(ARGV[4]) then redis.call('PEXPIRE', task, ARGV[4]) end
remember(KEYS[3], ARGV[1], ARGV[5])
ring(KEYS[4], ARGV[1], '0', 'state', '')
return { runs and 'RUNS' or 'WAITED' }
