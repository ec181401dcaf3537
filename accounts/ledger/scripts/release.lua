-- Give back a reservation without a usage event: of a request that was never accepted (the reply to its admission was
-- lost), so that nobody waits for it.
-- KEYS[1] the reservation (hash)     KEYS[2] the process's reservations (set)
-- ARGV[1] request id
-- Returns 1, or 0 if there was none. The counters and gates that it names are of the same key space.
redis.call('SREM', KEYS[2], ARGV[1])
local held = redis.call('HMGET', KEYS[1], 'tokens', 'budgets', 'gates')
if not held[1] then
  return 0
end
for counter in string.gmatch(held[2] or '', '%S+') do
  redis.call('HINCRBY', counter, 'reserved', string.format('%d', -tonumber(held[1])))
end
for gate in string.gmatch(held[3] or '', '%S+') do
  redis.call('SREM', gate, ARGV[1])
end
redis.call('DEL', KEYS[1])
return 1
