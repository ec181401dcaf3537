-- Take over a reservation of a request under way into a new epoch: counted, never refused.
-- KEYS[1] the reservation (hash)     KEYS[2] the process's reservations (set)     KEYS[3] settled requests (sorted set)
-- KEYS[4] epoch (hash)     then the counter of each budget (hash), then each gate (set)
-- ARGV[1] request id     ARGV[2] record (JSON)     ARGV[3] tokens     ARGV[4] the new epoch
-- ARGV[5] 1 if a provider is asked, else 0     ARGV[6] completion tokens delivered     ARGV[7] number of budgets
-- Returns 1; 0 if it is there already, or settled; -1 if that epoch has ended, too.
if redis.call('HGET', KEYS[4], 'id') ~= ARGV[4] then
  return -1
end
if redis.call('ZSCORE', KEYS[3], ARGV[1]) then
  return 0
end
local progress = {'begun', ARGV[5], 'completion_tokens', ARGV[6]}
if redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('HSET', KEYS[1], unpack(progress))
  return 0
end
local counters, gates, last_counter = {}, {}, 4 + tonumber(ARGV[7])
for i = 5, last_counter do
  counters[i - 4] = KEYS[i]
  redis.call('HINCRBY', KEYS[i], 'reserved', ARGV[3])
end
for i = last_counter + 1, #KEYS do
  gates[i - last_counter] = KEYS[i]
  redis.call('SADD', KEYS[i], ARGV[1])
end
redis.call('HSET', KEYS[1], 'record', ARGV[2], 'tokens', ARGV[3], 'budgets', table.concat(counters, ' '),
  'gates', table.concat(gates, ' '), unpack(progress))
redis.call('SADD', KEYS[2], ARGV[1])
return 1
