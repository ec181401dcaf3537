-- Settle one request: release its reservation, add what it used, store the cacheable answer, record its usage event.
-- A second settlement of the same request does nothing, unless the first one was the sweep's guess for a process that
-- seemed dead: then the difference is added, and the event recorded.
--
-- KEYS[1] the request's reservation (hash)      KEYS[2] the process's reservations (set)
-- KEYS[3] settled requests (sorted set, by ms)  KEYS[4] usage stream
-- KEYS[5] the cached answer                     KEYS[6] epoch (hash)
-- KEYS[7] swept requests (hash: tokens that the sweep counted)
-- then the counter of each budget (hash), then each gate (set)
-- ARGV[1] request id     ARGV[2] usage event (JSON)     ARGV[3] tokens used
-- ARGV[4] how long to keep the answer (s; 0: not at all)     ARGV[5] the answer
-- ARGV[6] epoch that the process belongs to     ARGV[7] 1 if the sweep settles     ARGV[8] number of budgets
-- Returns {'SETTLED', stream id}, {'KNOWN'} if the request was settled before, or {'EPOCH', current epoch or ''}, having
-- done nothing.
local epoch = redis.call('HGET', KEYS[6], 'id')
if epoch ~= ARGV[6] then
  return {'EPOCH', epoch or ''}
end
local used, swept = tonumber(ARGV[3]), false
if redis.call('ZSCORE', KEYS[3], ARGV[1]) then
  swept = ARGV[7] ~= '1' and redis.call('HGET', KEYS[7], ARGV[1])
  if not swept then
    return {'KNOWN'}
  end
  redis.call('HDEL', KEYS[7], ARGV[1])
end
local time = redis.call('TIME')
redis.call('ZADD', KEYS[3], time[1] * 1000 + math.floor(time[2] / 1000), ARGV[1])
if ARGV[7] == '1' then
  redis.call('HSET', KEYS[7], ARGV[1], ARGV[3])
end
local counted = used - (swept and tonumber(swept) or 0)
local reserved = tonumber(redis.call('HGET', KEYS[1], 'tokens') or '0')
local counters, last_counter = {}, 7 + tonumber(ARGV[8])
for i = 8, last_counter do
  counters[i - 7] = KEYS[i]
  redis.call('HINCRBY', KEYS[i], 'reserved', string.format('%d', -reserved)) -- Lua would write -0
  redis.call('HINCRBY', KEYS[i], 'spent', string.format('%d', counted))
end
for i = last_counter + 1, #KEYS do
  redis.call('SREM', KEYS[i], ARGV[1])
end
redis.call('DEL', KEYS[1])
redis.call('SREM', KEYS[2], ARGV[1])
local id = redis.call('XADD', KEYS[4], '*', 'event', ARGV[2],
  'counted', string.format('%d', counted), 'counters', table.concat(counters, ' '))
if tonumber(ARGV[4]) > 0 then
  redis.call('SET', KEYS[5], ARGV[5], 'EX', ARGV[4])
end
return {'SETTLED', id}
