-- Take away what a task that has ended printed, emitted and was called with. What stays says that it was there.
-- KEYS: 1 task, 2 bell, 3.. streams of its runs
-- ARGV: 1 task id, 2 by whom
-- -> {'OK'} | {'OPEN'}: it has not ended | {'UNKNOWN'}
local task = KEYS[1]
local known = redis.call('HMGET', task, 'format', 'open', 'state')
if not known[1] then return { 'UNKNOWN' } end
if tonumber(known[2] or '0') > 0 then return { 'OPEN' } end
for _, state in ipairs({ 'QUEUED', 'RUNNING', 'RETRY' }) do
  if known[3] == state then return { 'OPEN' } end
end
for index = 3, #KEYS do redis.call('UNLINK', KEYS[index]) end
for _, field in ipairs(redis.call('HKEYS', task)) do
  local run = string.match(field, '^(%d+)%.nonce$')
  if run then
    redis.call('HDEL', task, run .. '.archived', run .. '.archived_first', run .. '.archived_why', run .. '.archive',
      run .. '.detail')
    redis.call('HSET', task, run .. '.first', redis.call('HGET', task, run .. '.end'), run .. '.first_why', 'deleted')
  end
end
redis.call('HDEL', task, 'args', 'kwargs', 'result', 'progress', 'call')
redis.call('HSET', task, 'deleted_at', whole(now_ms()), 'deleted_by', ARGV[2], 'changed_at', changed(task))
ring(KEYS[2], ARGV[1], '0', 'state', '1-0')
return { 'OK' }
