-- Move a run's output from here to the archive: only who holds the task's lease may say so.
-- KEYS: 1 task, 2 output, 3 lease
-- ARGV: 1 what, 2 ordinal, 3 nonce, 4 token of who asks, 5 lease ms, 6 position up to which it is archived,
--       7 first position archived, 8 why what is before it is not, 9 where the archive lies
-- what: take (or renew the lease), note (that it is archived so far), shrink (the same, and give up what is here),
--       done (all of the task is archived, as it was when it changed last, at 6),
--       forget (it is not in the archive any more: 8 says why), drop (give up the lease)
-- -> {'OK'} | {'BUSY'}: another one holds the lease | {'GREW'}: the run goes on, or further | {'NORUN'}
local task, output, lease = KEYS[1], KEYS[2], KEYS[3]
local what, run = ARGV[1], ARGV[2]
local holder = redis.call('GET', lease)
if what == 'take' then
  if holder and holder ~= ARGV[4] then return { 'BUSY' } end
  redis.call('SET', lease, ARGV[4], 'PX', ARGV[5])
  return { 'OK' }
end
if holder ~= ARGV[4] then return { 'BUSY' } end
if what == 'drop' then
  redis.call('DEL', lease)
  return { 'OK' }
end
if what == 'done' then
  redis.call('HSET', task, 'recorded_at', ARGV[6])
  return { 'OK' }
end
local known = redis.call('HMGET', task, run .. '.nonce', run .. '.end', run .. '.how')
if known[1] ~= ARGV[3] then return { 'NORUN' } end
if what == 'forget' then
  redis.call('HDEL', task, run .. '.archived', run .. '.archived_first', run .. '.archived_why', run .. '.archive')
  if redis.call('HGET', task, run .. '.first_why') == 'archived' then
    redis.call('HSET', task, run .. '.first_why', ARGV[8])
  end
  return { 'OK' }
end
redis.call('HSET', task, run .. '.archived', ARGV[6], run .. '.archived_first', ARGV[7],
  run .. '.archived_why', ARGV[8], run .. '.archive', ARGV[9])
if what == 'shrink' then
  if not known[3] or known[2] ~= ARGV[6] then return { 'GREW' } end
  redis.call('UNLINK', output)
  redis.call('HSET', task, run .. '.first', ARGV[6], run .. '.first_why', 'archived')
end
return { 'OK' }
