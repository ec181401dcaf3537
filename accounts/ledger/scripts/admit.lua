-- Admit one request: all or nothing over every limit that applies, idempotent by request id.
--
-- KEYS[1] configuration version          KEYS[2] the request's reservation (hash)
-- KEYS[3] the process's reservations     KEYS[4] breakers (hash)
-- KEYS[5] the cached answer ('' : none is wanted)
-- then one rolling window for each rate limit (sorted set of request ids by microsecond),
-- then one counter for each budget (hash with `spent` and `reserved`)
--
-- ARGV[1] configuration version that the caller decided on     ARGV[2] request id
-- ARGV[3] record: the usage event as far as it is known (JSON)
-- ARGV[4] tokens to reserve     ARGV[5] and ARGV[6] when the budgets' month begins and ends (ms)
-- ARGV[7] number of rate limits, then each limit (requests in any 60 seconds)
-- then, for each budget, its limit (tokens), or -1 where it is only counted
--
-- Returns, having done nothing:
--   {'STALE', current version}          the configuration changed: decide again
--   {'OTHER_MONTH', Redis time (ms)}    it is not that month: decide again
--   {'RATE', time, windows, which}      the limit number `which` is reached
--   {'BUDGET', time, windows, which, spent, reserved}
-- or, having counted the request:
--   {'CACHED', time, windows, answer}
--   {'ADMITTED', time, windows, breakers (flat), spent and reserved of each budget (flat)}
-- `windows` is flat: for each rate limit the requests in its window and the time (ms) until the oldest one leaves it.
local WINDOW_US = 60 * 1000000

local current = tonumber(redis.call('GET', KEYS[1]) or '0')
local decided_on = tonumber(ARGV[1])
if decided_on < current then
  return {'STALE', current}
end
if decided_on > current then -- Redis was lost, or the publishing was: the caller read it from the database
  redis.call('SET', KEYS[1], decided_on)
end

local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]
local now_ms = math.floor(now_us / 1000)
if now_ms < tonumber(ARGV[5]) or now_ms >= tonumber(ARGV[6]) then
  return {'OTHER_MONTH', now_ms}
end

local rates = tonumber(ARGV[7])
local windows, refused_by = {}, nil
for i = 1, rates do
  local window = KEYS[5 + i]
  redis.call('ZREMRANGEBYSCORE', window, '-inf', string.format('(%.0f', now_us - WINDOW_US + 1))
  local used = redis.call('ZCARD', window)
  local oldest = redis.call('ZRANGE', window, 0, 0, 'WITHSCORES')
  windows[2 * i - 1] = used
  windows[2 * i] = oldest[2] and math.ceil((tonumber(oldest[2]) + WINDOW_US - now_us) / 1000) or 0
  if used >= tonumber(ARGV[7 + i]) and not refused_by and not redis.call('ZSCORE', window, ARGV[2]) then
    refused_by = i
  end
end
if refused_by then
  return {'RATE', now_ms, windows, refused_by}
end

local answer = KEYS[5] ~= '' and redis.call('GET', KEYS[5])
local tokens = tonumber(ARGV[4])
local counters = {}
local known = redis.call('EXISTS', KEYS[2]) == 1
for i = 1, #KEYS - 5 - rates do
  local counter = redis.call('HMGET', KEYS[5 + rates + i], 'spent', 'reserved')
  local spent, reserved = tonumber(counter[1] or '0'), tonumber(counter[2] or '0')
  local limit = tonumber(ARGV[7 + rates + i])
  if not answer and not known and limit >= 0 and spent + reserved + tokens > limit then
    return {'BUDGET', now_ms, windows, i, spent, reserved}
  end
  counters[2 * i - 1] = spent
  counters[2 * i] = reserved
end

for i = 1, rates do
  redis.call('ZADD', KEYS[5 + i], now_us, ARGV[2])
  redis.call('PEXPIRE', KEYS[5 + i], WINDOW_US / 1000)
end
if not known then
  local reserve = answer and 0 or tokens
  local budgets = {}
  for i = 1, #KEYS - 5 - rates do
    budgets[i] = KEYS[5 + rates + i]
    redis.call('HINCRBY', budgets[i], 'reserved', reserve)
  end
  redis.call('HSET', KEYS[2], 'record', ARGV[3], 'at_ms', now_ms, 'tokens', reserve, 'budgets', table.concat(budgets, ' '))
  redis.call('SADD', KEYS[3], ARGV[2])
end
if answer then
  return {'CACHED', now_ms, windows, answer}
end
return {'ADMITTED', now_ms, windows, redis.call('HGETALL', KEYS[4]), counters}
