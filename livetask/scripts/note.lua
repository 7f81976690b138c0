-- Note facts about a task that are not the output of a run.
-- KEYS: 1 task, 2 recent, 3 bell
-- ARGV: 1 task id, 2 what ('queued' | 'progress' | 'state' | 'stopping' | 'rerun'), 3 TTL ms, 4 cap of recent, 5 JSON object of task fields
--   queued: fields are set where absent, the state becomes QUEUED where there is none
--   progress: fields are set, if the task is known
--   stopping: fields are set while a run is open that somebody wishes to stop
--   rerun: the task id in the field 'id' is added to 'reruns', of which the last 20 are kept
--   state: fields are set, 'state' among them, if no run is open and the task has not ended; what is LOST may yet
--     be known to have ended otherwise
-- -> {'OK'} | {'KEPT'}: nothing changed, because what is known is newer
local task, what = KEYS[1], ARGV[2]
local known = redis.call('HMGET', task, 'state', 'open')
local fields = cjson.decode(ARGV[5])
if what == 'queued' then
  for key, value in pairs(fields) do redis.call('HSETNX', task, key, value) end
  if known[1] then return { 'KEPT' } end
  redis.call('HSET', task, 'format', '1', 'state', 'QUEUED')
elseif what == 'progress' then
  if not known[1] then return { 'KEPT' } end
  for key, value in pairs(fields) do redis.call('HSET', task, key, value) end
elseif what == 'stopping' then
  if tonumber(known[2] or '0') <= 0 or redis.call('HEXISTS', task, 'stopping_at') == 0 then return { 'KEPT' } end
  for key, value in pairs(fields) do redis.call('HSET', task, key, value) end
elseif what == 'rerun' then
  if not known[1] then return { 'KEPT' } end
  local ids = {}
  for id in string.gmatch(redis.call('HGET', task, 'reruns') or '', '%S+') do
    if id ~= fields.id then ids[#ids + 1] = id end
  end
  ids[#ids + 1] = fields.id
  redis.call('HSET', task, 'reruns', table.concat(ids, ' ', math.max(1, #ids - 19)))
else
  local ended = known[1] and known[1] ~= 'QUEUED' and known[1] ~= 'RETRY' and known[1] ~= 'RUNNING' and known[1] ~= 'LOST'
  if tonumber(known[2] or '0') > 0 or ended or known[1] == fields.state then return { 'KEPT' } end
  redis.call('HSET', task, 'format', '1', 'ended_at', whole(now_ms()))
  for key, value in pairs(fields) do redis.call('HSET', task, key, value) end
  stopped(task, fields.state)
end
redis.call('HSET', task, 'changed_at', changed(task))
if what ~= 'queued' and what ~= 'state' then
  ring(KEYS[3], ARGV[1], '0', what, '')
  return { 'OK' }
end
if redis.call('PTTL', task) < tonumber(ARGV[3]) then redis.call('PEXPIRE', task, ARGV[3]) end
remember(KEYS[2], ARGV[1], ARGV[4])
ring(KEYS[3], ARGV[1], '0', what, '')
return { 'OK' }
