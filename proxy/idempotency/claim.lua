-- Take an idempotency key for one request, keep it, or learn what became of the request that has it.
-- KEYS[1] claim (hash: digest of the request; claimant, '' once it is answered; ended_by, who answered it)
-- KEYS[2] the answer
-- ARGV[1] digest of the request     ARGV[2] claimant     ARGV[3] how long it holds unless it is taken again (ms)
-- Returns TAKEN; or, having done nothing: BUSY (the same request is under way), ANSWERED, OTHER (another request has it).
local claim = redis.call('HMGET', KEYS[1], 'digest', 'claimant')
local digest, claimant = claim[1], claim[2]
local is_evicted = claimant == '' and redis.call('EXISTS', KEYS[2]) == 0
if not digest or is_evicted or claimant == ARGV[2] then
  redis.call('HSET', KEYS[1], 'digest', ARGV[1], 'claimant', ARGV[2])
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
  return 'TAKEN'
end
if digest ~= ARGV[1] then
  return 'OTHER'
end
return claimant == '' and 'ANSWERED' or 'BUSY'
