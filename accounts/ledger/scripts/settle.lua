-- Settle one request: release its reservation, add what it used, store the cacheable answer, record its usage event.
-- A second settlement of the same request does nothing.
--
-- KEYS[1] the request's reservation (hash)      KEYS[2] the process's reservations (set)
-- KEYS[3] settled requests (sorted set, by ms)  KEYS[4] usage stream
-- KEYS[5] the cached answer                     then the counter of each budget (hash)
-- ARGV[1] request id     ARGV[2] usage event (JSON)     ARGV[3] tokens used
-- ARGV[4] how long to keep the answer (s; 0: not at all)     ARGV[5] the answer
-- Returns 1, or 0 if the request was settled before.
if redis.call('ZSCORE', KEYS[3], ARGV[1]) then
  return 0
end
local time = redis.call('TIME')
redis.call('ZADD', KEYS[3], time[1] * 1000 + math.floor(time[2] / 1000), ARGV[1])
local reserved = tonumber(redis.call('HGET', KEYS[1], 'tokens') or '0')
for i = 6, #KEYS do
  redis.call('HINCRBY', KEYS[i], 'reserved', string.format('%d', -reserved)) -- Lua would write -0
  redis.call('HINCRBY', KEYS[i], 'spent', tonumber(ARGV[3]))
end
redis.call('DEL', KEYS[1])
redis.call('SREM', KEYS[2], ARGV[1])
redis.call('XADD', KEYS[4], '*', 'event', ARGV[2])
if tonumber(ARGV[4]) > 0 then
  redis.call('SET', KEYS[5], ARGV[5], 'EX', ARGV[4])
end
return 1
