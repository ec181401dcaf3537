-- Settle one request: release its reservation and record its usage event. A second settlement does nothing.
-- KEYS[1] the request's reservation (hash)     KEYS[2] the process's reservations (set)
-- KEYS[3] settled requests (sorted set, by ms)     KEYS[4] usage stream
-- ARGV[1] request id     ARGV[2] usage event (JSON)
-- Returns 1, or 0 if the request was settled before.
if redis.call('ZSCORE', KEYS[3], ARGV[1]) then
  return 0
end
local time = redis.call('TIME')
redis.call('ZADD', KEYS[3], time[1] * 1000 + math.floor(time[2] / 1000), ARGV[1])
redis.call('DEL', KEYS[1])
redis.call('SREM', KEYS[2], ARGV[1])
redis.call('XADD', KEYS[4], '*', 'event', ARGV[2])
return 1
