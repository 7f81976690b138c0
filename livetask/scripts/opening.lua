-- The opening that scripts share. Each begins with those parts of it that it calls; they are parted by empty lines.

-- Redis' own clock, which stands still within a script: leases are written by workers and read by servers on other
-- machines.
local the_time
local function now_ms()
  if not the_time then
    local time = redis.call('TIME')
    the_time = time[1] * 1000 + math.floor(time[2] / 1000)
  end
  return the_time
end

local function whole(number)
  return string.format('%d', number)
end

-- Now, or just after what is known, if the clock was set back or another Redis' clock is behind: what has changed later
-- is never taken for older.
local function not_before(known)
  local now, before = now_ms(), tonumber(known or '') or 0
  return before > now and before + 1 or now
end

local function changed(task)
  return whole(not_before(redis.call('HGET', task, 'changed_at')))
end

-- '<line>-<byte>' as two numbers.
local function place(text)
  local line, byte = string.match(text, '^(%d+)%-(%d+)$')
  return tonumber(line), tonumber(byte)
end

-- The bell is a hint and short; a server that finds it overrun sweeps what it watches.
local function ring(bell, task_id, run, what, at)
  redis.call('XADD', bell, 'MAXLEN', '~', '1000', '*', 'task', task_id, 'run', run, 'what', what, 'end', at)
end

-- The dashboard's list: by last change of state, capped.
local function remember(recent, task_id, cap)
  local newest = redis.call('ZREVRANGE', recent, 0, 0, 'WITHSCORES')
  redis.call('ZADD', recent, not_before(newest[2]), task_id)
  redis.call('ZREMRANGEBYRANK', recent, 0, -tonumber(cap) - 1)
end

-- A task has ended: nothing is being stopped any more. Of one that was revoked, who wished it and when stays.
local function stopped(task, state)
  local wish = redis.call('HMGET', task, 'stopping_at', 'stopping_by')
  if not wish[1] then return end
  if state == 'REVOKED' then redis.call('HSET', task, 'revoked_at', wish[1], 'revoked_by', wish[2]) end
  redis.call('HDEL', task, 'stopping_at', 'stopping_by', 'stopping_how', 'stopping_note')
end

-- The detail of a run's end: its worker knows that it was terminated, and not by whom.
local function by_whom(task, how, detail)
  local by = how == 'REVOKED' and redis.call('HGET', task, 'stopping_by')
  if not by or by == '' then return detail end
  local known = cjson.decode(detail)
  if known.reason ~= 'revoked' then return detail end
  known.reason = 'terminated by ' .. by
  return cjson.encode(known)
end

-- Redis may have been away when it ended.
-- What ends may be told by the time of a file, whose clock is coarser than that of the beginning.
local function ended_at(begun, told, now)
  return whole(math.max(tonumber(begun or '') or 0, math.min(now, tonumber(told or '') or now)))
end

-- The state of a task of which no run is open any more, when that run has ended so. It is that of its last run: with
-- countdown 0, run 2 can end before run 1 has told of its retry.
local function state_after(task, last, run, state)
  if last ~= run then state = redis.call('HGET', task, whole(last) .. '.how') or state end
  return state == 'KILLED' and 'FAILURE' or state
end

-- No run of the task is open any more.
local function settle(task, run, state, ended)
  state = state_after(task, tonumber(redis.call('HGET', task, 'runs')), tonumber(run), state)
  if state == 'RETRY' or state == 'QUEUED' then
    redis.call('HSET', task, 'state', state)
  else
    redis.call('HSET', task, 'state', state, 'ended_at', ended)
    stopped(task, state)
  end
end

-- A run that was given up as lost has shown that it lives: the end is taken back.
local function take_back(task, bell, task_id, run)
  redis.call('HDEL', task, run .. '.how', run .. '.ended_at', run .. '.detail', run .. '.crc', 'ended_at')
  redis.call('HINCRBY', task, 'open', 1)
  redis.call('HSET', task, 'state', 'RUNNING', 'changed_at', changed(task))
  ring(bell, task_id, run, 'begin', redis.call('HGET', task, run .. '.end'))
end

-- Whether a run's output is not there although it should be: its stream was evicted, or deleted by hand.
local function is_hollow(output, first, last)
  return first ~= last and redis.call('XLEN', output) == 0
end

-- A run whose output is gone is forgotten as a whole, so that its worker begins it again and sends what its spool holds.
local function forget(task, run, nonce)
  if redis.call('HEXISTS', task, run .. '.how') == 0 then redis.call('HINCRBY', task, 'open', -1) end
  redis.call('HDEL', task, 'nonce.' .. nonce, run .. '.nonce', run .. '.how', run .. '.ended_at', run .. '.detail',
    run .. '.crc')
end
