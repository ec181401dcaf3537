-- One breaker's life. Its state is "failures:opened at (ms):probed at (ms)"; a closed, healthy one has none.
-- KEYS[1] breakers (hash by model)
-- ARGV[1] failed | succeeded | probe     ARGV[2] model
-- ARGV[3] failures to open     ARGV[4] how long it stays open (ms)     ARGV[5] how long a probe may take (ms)
-- Returns for probe: 1 if this caller may try the model, else 0; for the others: the failures in a row.
if ARGV[1] == 'succeeded' then
  redis.call('HDEL', KEYS[1], ARGV[2])
  return 0
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local failures, opened_at, probed_at = 0, 0, 0
local state = redis.call('HGET', KEYS[1], ARGV[2])
if state then
  local a, b, c = string.match(state, '^(%d+):(%d+):(%d+)$')
  failures, opened_at, probed_at = tonumber(a), tonumber(b), tonumber(c)
end

local answer
if ARGV[1] == 'failed' then
  failures = failures + 1
  if failures >= tonumber(ARGV[3]) then
    opened_at = now
    probed_at = 0
  end
  answer = failures
else
  if now - opened_at < tonumber(ARGV[4]) or now - probed_at < tonumber(ARGV[5]) then
    return failures < tonumber(ARGV[3]) and 1 or 0
  end
  probed_at = now
  answer = 1
end
redis.call('HSET', KEYS[1], ARGV[2], string.format('%d:%.0f:%.0f', failures, opened_at, probed_at))
return answer
