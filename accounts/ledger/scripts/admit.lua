-- Admit one request, or several of one caller together: all or nothing over every limit that applies, idempotent by
-- request id. A single one that the cache answers is settled at once, where it may be.
--
-- KEYS: what is counted: one rolling window for each rate limit (sorted set of request ids by microsecond),
-- then one gate for each limit of concurrent requests (set of request ids),
-- then one counter for each budget (hash with `spent` and `reserved`);
-- then configuration version, epoch (hash: id, run_id, opens_ms), the process's reservations, breakers (hash),
-- settled requests (sorted set, by ms), usage stream,
-- then the cached answer ('' : none is wanted), and one reservation for each request (hash)
--
-- ARGV[1], ARGV[2], ARGV[3], ARGV[4] how many rate limits, gates, budgets and requests there are
-- ARGV[5] and ARGV[6] when the budgets' month begins and ends (ms)
-- then each rate limit (requests in any 60 seconds), each gate's limit,
-- each budget's limit (tokens), or -1 where it is only counted, then for each budget 1 if it refuses, or 0;
-- then the configuration version that the caller decided on, the epoch that the process belongs to,
-- 1 if budgets may refuse, or 0,
-- the seal: what the cached answer begins with, or it is another one,
-- when the request was asked (ms), or '' if an answer from the cache is settled by itself, as others are,
-- then for each request its id, its usage event as far as it is known (an open JSON object), the rest of it if its
-- process dies (JSON, which closes the object), and the tokens to reserve
--
-- Returns, having done nothing:
--   {'STALE', current version}          the configuration changed: decide again
--   {'EPOCH', current epoch or ''}      the counters were rebuilt, or have to be: join first
--   {'CLOSED', ms}                      the counters were rebuilt just now: wait until every process has joined
--   {'OTHER_MONTH', Redis time (ms)}    it is not that month: decide again
--   {'GONE'}                            it was settled by an answer that the cache no longer has: ask as another request
--   {'RATE', which, what is left of it, ms until there is room}
--   {'BUSY', tightest, which}           the gate number `which` lets nobody else through
--   {'BUDGET', tightest, which, spent, reserved}
-- or, having counted the requests:
--   {'CACHED', tightest, room, time (ms), entry}                     counted, with nothing reserved
--   {'CACHED', tightest, room, time (ms), entry, stream id, event}   and settled; '' and '' if that was done before
--   {'ADMITTED', tightest, room, time (ms), breakers (flat)}
-- `tightest` is the rate limit with the least left: which (0: there is none), what is left after these requests, or,
-- where they are refused, without them, and the time (ms) until its oldest request leaves it (0: it had none).
-- `room`: the tokens that the tightest budget had left, or -1 where none has a limit.
local WINDOW_US = 60 * 1000000
local LARGEST = 2 ^ 53 -- whole number of Lua's
local rates, gates, budgets, requests = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local month_begins, month_ends = tonumber(ARGV[5]), tonumber(ARGV[6])

local function window(i) return KEYS[i] end
local function gate(i) return KEYS[rates + i] end
local function counter(i) return KEYS[rates + gates + i] end
local names = rates + gates + budgets
local VERSION, EPOCH, RESERVATIONS = KEYS[names + 1], KEYS[names + 2], KEYS[names + 3]
local BREAKERS, SETTLED, USAGE, CACHED = KEYS[names + 4], KEYS[names + 5], KEYS[names + 6], KEYS[names + 7]
local function reservation(i) return KEYS[names + 7 + i] end

local function limit_of_rate(i) return tonumber(ARGV[6 + i]) end
local function limit_of_gate(i) return tonumber(ARGV[6 + rates + i]) end
local function limit_of_budget(i) return tonumber(ARGV[6 + rates + gates + i]) end
local function refuses(i) return ARGV[6 + names + i] == '1' end
local rest = 6 + names + budgets
local decided_on, member_of, enforces = tonumber(ARGV[rest + 1]), ARGV[rest + 2], ARGV[rest + 3] == '1'
local seal, asked_ms = ARGV[rest + 4], tonumber(ARGV[rest + 5])
local function id_of(i) return ARGV[rest + 4 * i + 2] end
local function event_of(i) return ARGV[rest + 4 * i + 3] end
local function record_of(i) return event_of(i) .. ARGV[rest + 4 * i + 4] end
local function tokens_of(i) return tonumber(ARGV[rest + 4 * i + 5]) end

local current = tonumber(redis.call('GET', VERSION) or '0')
if decided_on < current then
  return {'STALE', current}
end
local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]
local now_ms = math.floor(now_us / 1000)
local epoch = redis.call('HMGET', EPOCH, 'id', 'opens_ms')
if epoch[1] ~= member_of then
  return {'EPOCH', epoch[1] or ''}
end
if tonumber(epoch[2]) > now_ms then
  return {'CLOSED', tonumber(epoch[2]) - now_ms}
end
if decided_on > current then -- the publishing was lost: the caller read it from the database
  redis.call('SET', VERSION, decided_on)
end
if now_ms < month_begins or now_ms >= month_ends then
  return {'OTHER_MONTH', now_ms}
end

local answer = CACHED ~= '' and redis.call('GET', CACHED)
if answer and string.sub(answer, 1, #seal) ~= seal then
  answer = false
end
-- The same call came before, and only its reply was lost: whoever was admitted then is admitted now.
local is_held = redis.call('EXISTS', reservation(1)) == 1
local was_settled = CACHED ~= '' and asked_ms and redis.call('ZSCORE', SETTLED, id_of(1))
if was_settled and not answer then
  return {'GONE'}
elseif is_held and asked_ms then -- it was admitted to ask a provider, and the answer came into the cache since
  answer = false
end
local known = is_held or was_settled

local function ms_until_left(entry)
  return entry[2] and math.ceil((tonumber(entry[2]) + WINDOW_US - now_us) / 1000) or 0
end

local entering = known and 0 or requests
local tightest, full, left_of_full, longest_ms = {0, 0, 0}, nil, 0, 0
for i = 1, rates do
  redis.call('ZREMRANGEBYSCORE', window(i), '-inf', string.format('(%.0f', now_us - WINDOW_US + 1))
  local used = redis.call('ZCARD', window(i))
  local left = limit_of_rate(i) - used - entering
  if tightest[1] == 0 or left < tightest[2] then
    tightest = {i, left, ms_until_left(redis.call('ZRANGE', window(i), 0, 0, 'WITHSCORES'))}
  end
  local too_many = -left
  if too_many > 0 and not known then
    -- There is room when the last of those that are too many has left; never, if the limit itself is too small.
    local last = redis.call('ZRANGE', window(i), too_many - 1, too_many - 1, 'WITHSCORES')
    local ms = last[2] and ms_until_left(last) or WINDOW_US / 1000
    if ms > longest_ms then
      full, left_of_full, longest_ms = i, left + requests, ms
    end
  end
end
if full then
  return {'RATE', full, left_of_full, longest_ms}
end

local function without_these()
  return {tightest[1], tightest[2] + entering, tightest[3]}
end

for i = 1, gates do
  if not known and redis.call('SCARD', gate(i)) + requests > limit_of_gate(i) then
    return {'BUSY', without_these(), i}
  end
end

local function enter_windows(i)
  for j = 1, rates do
    redis.call('ZADD', window(j), now_us, id_of(i))
    redis.call('PEXPIRE', window(j), WINDOW_US / 1000)
  end
end

local counters = {}
for i = 1, budgets do
  counters[i] = counter(i)
end

-- The second line of an entry, after the seal, is what it adds to the usage event: a JSON object.
local function settle_as_hit()
  local line_ends = string.find(answer, '\n', #seal + 1, true)
  local event = string.format('%s,"status":"cached","latency_ms":%d,%s', event_of(1),
    math.max(0, now_ms - asked_ms), string.sub(answer, #seal + 2, line_ends - 1))
  enter_windows(1)
  redis.call('ZADD', SETTLED, now_ms, id_of(1))
  return redis.call('XADD', USAGE, '*', 'event', event, 'counted', '0', 'counters', table.concat(counters, ' ')), event
end

local tokens = 0
for i = 1, requests do
  tokens = tokens + tokens_of(i)
end
local room = -1
local held = is_held and not answer and tokens or 0 -- of what is reserved, by the call before
for i = 1, budgets do
  local limit = limit_of_budget(i)
  if limit >= 0 then
    local counts = redis.call('HMGET', counter(i), 'spent', 'reserved')
    local spent, reserved = tonumber(counts[1] or '0'), tonumber(counts[2] or '0')
    local left = limit - spent - reserved + held
    if enforces and refuses(i) and not answer and not known and tokens > left then
      return {'BUDGET', without_these(), i, spent, reserved}
    end
    left = math.min(math.max(0, left), LARGEST)
    room = room < 0 and left or math.min(room, left)
  end
end

if answer and asked_ms then
  local stream_id, event = '', ''
  if not known then
    stream_id, event = settle_as_hit()
  end
  return {'CACHED', tightest, room, now_ms, answer, stream_id, event}
end

local function reserve(i)
  local reserved = answer and 0 or tokens_of(i)
  local gated = {}
  enter_windows(i)
  for j = 1, gates do
    gated[j] = gate(j)
    redis.call('SADD', gate(j), id_of(i))
  end
  for j = 1, budgets do
    redis.call('HINCRBY', counter(j), 'reserved', reserved)
  end
  -- A provider is asked in a moment: from now on a crash is billed.
  redis.call('HSET', reservation(i), 'record', record_of(i), 'tokens', reserved, 'begun', answer and 0 or 1,
    'budgets', table.concat(counters, ' '), 'gates', table.concat(gated, ' '))
  redis.call('SADD', RESERVATIONS, id_of(i))
end
if not known then
  for i = 1, requests do
    reserve(i)
  end
end
if answer then
  return {'CACHED', tightest, room, now_ms, answer}
end
return {'ADMITTED', tightest, room, now_ms, redis.call('HGETALL', BREAKERS)}
