-- Admit one request, or several of one caller together: all or nothing over every limit that applies, idempotent by
-- request id.
--
-- KEYS[1] configuration version          KEYS[2] epoch (hash: id, run_id, opens_ms)
-- KEYS[3] the process's reservations     KEYS[4] breakers (hash)
-- KEYS[5] the cached answer ('' : none is wanted)
-- then one rolling window for each rate limit (sorted set of request ids by microsecond),
-- then one gate for each limit of concurrent requests (set of request ids),
-- then one counter for each budget (hash with `spent` and `reserved`),
-- then one reservation for each request (hash)
--
-- ARGV[1] configuration version that the caller decided on     ARGV[2] epoch that the process belongs to
-- ARGV[3] and ARGV[4] when the budgets' month begins and ends (ms)
-- ARGV[5], ARGV[6], ARGV[7], ARGV[8] how many rate limits, gates, budgets and requests there are
-- then each rate limit (requests in any 60 seconds), each gate's limit,
-- each budget's limit (tokens), or -1 where it is only counted,
-- then for each request its id, its record (the usage event as far as it is known, JSON) and the tokens to reserve
--
-- Returns, having done nothing:
--   {'STALE', current version}          the configuration changed: decide again
--   {'EPOCH', current epoch or ''}      the counters were rebuilt, or have to be: join first
--   {'CLOSED', ms}                      the counters were rebuilt just now: wait until every process has joined
--   {'OTHER_MONTH', Redis time (ms)}    it is not that month: decide again
--   {'RATE', time, windows, which, ms until there is room}
--   {'BUSY', time, windows, which}      the gate number `which` lets nobody else through
--   {'BUDGET', time, windows, which, spent, reserved}
-- or, having counted the requests:
--   {'CACHED', time, windows, answer}
--   {'ADMITTED', time, windows, breakers (flat), spent and reserved of each budget (flat)}
-- `windows` is flat: for each rate limit the requests in its window and the time (ms) until the oldest one leaves it.
local WINDOW_US = 60 * 1000000
local rates, gates, budgets, requests = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])

local function window(i) return KEYS[5 + i] end
local function gate(i) return KEYS[5 + rates + i] end
local function counter(i) return KEYS[5 + rates + gates + i] end
local function reservation(i) return KEYS[5 + rates + gates + budgets + i] end
local function limit_of_rate(i) return tonumber(ARGV[8 + i]) end
local function limit_of_gate(i) return tonumber(ARGV[8 + rates + i]) end
local function limit_of_budget(i) return tonumber(ARGV[8 + rates + gates + i]) end
local first_request = 8 + rates + gates + budgets
local function id_of(i) return ARGV[first_request + 3 * i - 2] end
local function record_of(i) return ARGV[first_request + 3 * i - 1] end
local function tokens_of(i) return tonumber(ARGV[first_request + 3 * i]) end

local decided_on, current = tonumber(ARGV[1]), tonumber(redis.call('GET', KEYS[1]) or '0')
if decided_on < current then
  return {'STALE', current}
end
local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]
local now_ms = math.floor(now_us / 1000)
local epoch = redis.call('HMGET', KEYS[2], 'id', 'opens_ms')
if epoch[1] ~= ARGV[2] then
  return {'EPOCH', epoch[1] or ''}
end
if tonumber(epoch[2]) > now_ms then
  return {'CLOSED', tonumber(epoch[2]) - now_ms}
end
if decided_on > current then -- the publishing was lost: the caller read it from the database
  redis.call('SET', KEYS[1], decided_on)
end
if now_ms < tonumber(ARGV[3]) or now_ms >= tonumber(ARGV[4]) then
  return {'OTHER_MONTH', now_ms}
end

local function ms_until_left(entry)
  return entry[2] and math.ceil((tonumber(entry[2]) + WINDOW_US - now_us) / 1000) or 0
end

-- The same call came before, and only its reply was lost: whoever was admitted then is admitted now.
local known = redis.call('EXISTS', reservation(1)) == 1

local windows, full, longest_ms = {}, nil, 0
for i = 1, rates do
  redis.call('ZREMRANGEBYSCORE', window(i), '-inf', string.format('(%.0f', now_us - WINDOW_US + 1))
  local used = redis.call('ZCARD', window(i))
  windows[2 * i - 1] = used
  windows[2 * i] = ms_until_left(redis.call('ZRANGE', window(i), 0, 0, 'WITHSCORES'))
  local too_many = used + requests - limit_of_rate(i)
  if too_many > 0 and not known then
    -- There is room when the last of those that are too many has left; never, if the limit itself is too small.
    local last = redis.call('ZRANGE', window(i), too_many - 1, too_many - 1, 'WITHSCORES')
    local ms = last[2] and ms_until_left(last) or WINDOW_US / 1000
    if ms > longest_ms then
      full, longest_ms = i, ms
    end
  end
end
if full then
  return {'RATE', now_ms, windows, full, longest_ms}
end

for i = 1, gates do
  if not known and redis.call('SCARD', gate(i)) + requests > limit_of_gate(i) then
    return {'BUSY', now_ms, windows, i}
  end
end

local answer = KEYS[5] ~= '' and redis.call('GET', KEYS[5])
local tokens = 0
for i = 1, requests do
  tokens = tokens + tokens_of(i)
end
local counted = {}
for i = 1, budgets do
  local counts = redis.call('HMGET', counter(i), 'spent', 'reserved')
  local spent, reserved = tonumber(counts[1] or '0'), tonumber(counts[2] or '0')
  local limit = limit_of_budget(i)
  if not answer and not known and limit >= 0 and spent + reserved + tokens > limit then
    return {'BUDGET', now_ms, windows, i, spent, reserved}
  end
  counted[2 * i - 1] = spent
  counted[2 * i] = reserved
end

local function reserve(i)
  local reserved = answer and 0 or tokens_of(i)
  local counters, gated = {}, {}
  for j = 1, rates do
    redis.call('ZADD', window(j), now_us, id_of(i))
    redis.call('PEXPIRE', window(j), WINDOW_US / 1000)
  end
  for j = 1, gates do
    gated[j] = gate(j)
    redis.call('SADD', gate(j), id_of(i))
  end
  for j = 1, budgets do
    counters[j] = counter(j)
    redis.call('HINCRBY', counter(j), 'reserved', reserved)
  end
  redis.call('HSET', reservation(i), 'record', record_of(i), 'tokens', reserved,
    'budgets', table.concat(counters, ' '), 'gates', table.concat(gated, ' '))
  redis.call('SADD', KEYS[3], id_of(i))
end
if not known then
  for i = 1, requests do
    reserve(i)
  end
end
if answer then
  return {'CACHED', now_ms, windows, answer}
end
return {'ADMITTED', now_ms, windows, redis.call('HGETALL', KEYS[4]), counted}
