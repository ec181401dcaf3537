-- Settle one request: release its reservation, add what it used, store the cacheable answer, record its usage event.
-- A second settlement of the same request does nothing, unless the first one was the sweep's guess for a process that
-- seemed dead: then the difference is added, and the event recorded.
--
-- KEYS: the counter of each budget (hash), then each gate (set), then the process's reservations (set),
-- settled requests (sorted set, by ms), usage stream, epoch (hash), swept requests (hash: tokens that the sweep counted);
-- then the request's reservation (hash), and the cached answer
-- ARGV[1], ARGV[2] how many budgets and gates there are     ARGV[3] 1 if the sweep settles
-- ARGV[4] epoch that the process belongs to     ARGV[5] request id     ARGV[6] usage event (JSON)
-- ARGV[7] tokens used     ARGV[8] how long to keep the answer (s; 0: not at all)     ARGV[9] the answer
-- Returns {'SETTLED', stream id}, {'KNOWN'} if the request was settled before, or {'EPOCH', current epoch or ''}, having
-- done nothing.
local budgets, gates, is_swept = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3] == '1'
local names = budgets + gates
local RESERVATIONS, SETTLED, USAGE = KEYS[names + 1], KEYS[names + 2], KEYS[names + 3]
local EPOCH, SWEPT, RESERVATION, CACHED = KEYS[names + 4], KEYS[names + 5], KEYS[names + 6], KEYS[names + 7]
local request_id, used = ARGV[5], tonumber(ARGV[7])

local epoch = redis.call('HGET', EPOCH, 'id')
if epoch ~= ARGV[4] then
  return {'EPOCH', epoch or ''}
end
local guessed = false
if redis.call('ZSCORE', SETTLED, request_id) then
  guessed = not is_swept and redis.call('HGET', SWEPT, request_id)
  if not guessed then
    return {'KNOWN'}
  end
  redis.call('HDEL', SWEPT, request_id)
end
local time = redis.call('TIME')
redis.call('ZADD', SETTLED, time[1] * 1000 + math.floor(time[2] / 1000), request_id)
if is_swept then
  redis.call('HSET', SWEPT, request_id, ARGV[7])
end
local counted = used - (guessed and tonumber(guessed) or 0)
local reserved = tonumber(redis.call('HGET', RESERVATION, 'tokens') or '0')
local counters = {}
for i = 1, budgets do
  counters[i] = KEYS[i]
  redis.call('HINCRBY', KEYS[i], 'reserved', string.format('%d', -reserved)) -- Lua would write -0
  redis.call('HINCRBY', KEYS[i], 'spent', string.format('%d', counted))
end
for i = budgets + 1, names do
  redis.call('SREM', KEYS[i], request_id)
end
redis.call('DEL', RESERVATION)
redis.call('SREM', RESERVATIONS, request_id)
local id = redis.call('XADD', USAGE, '*', 'event', ARGV[6],
  'counted', string.format('%d', counted), 'counters', table.concat(counters, ' '))
if tonumber(ARGV[8]) > 0 then
  redis.call('SET', CACHED, ARGV[9], 'EX', ARGV[8])
end
return {'SETTLED', id}
