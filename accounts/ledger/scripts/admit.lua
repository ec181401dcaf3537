-- Admit one request: all or nothing, idempotent by request id.
-- KEYS[1] configuration version     KEYS[2] the request's reservation (hash)
-- KEYS[3] the process's reservations (set of request ids)     KEYS[4] breakers (hash)
-- ARGV[1] configuration version that the caller decided on     ARGV[2] request id
-- ARGV[3] record: the usage event as far as it is known (JSON)
-- Returns {'STALE', current version}, having done nothing, where the caller's configuration is out of date;
-- else {'ADMITTED', Redis time (ms), breakers as a flat list}.
local current = tonumber(redis.call('GET', KEYS[1]) or '0')
local decided_on = tonumber(ARGV[1])
if decided_on < current then
  return {'STALE', current}
end
if decided_on > current then -- Redis was lost, or the publishing was: the caller read it from the database
  redis.call('SET', KEYS[1], decided_on)
end

local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
if redis.call('EXISTS', KEYS[2]) == 0 then
  redis.call('HSET', KEYS[2], 'record', ARGV[3], 'at_ms', now_ms)
  redis.call('SADD', KEYS[3], ARGV[2])
end
return {'ADMITTED', now_ms, redis.call('HGETALL', KEYS[4])}
