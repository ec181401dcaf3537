-- End a claim: keep the answer for whoever sends the request again, or let the next one try anew.
-- KEYS[1] claim (hash, as in claim.lua)     KEYS[2] the answer
-- ARGV[1] claimant     ARGV[2] digest of the request     ARGV[3] how long to keep the answer (s)
-- ARGV[4] the answer, '' where there is none to keep
-- Returns 1, also if this claim was ended before; or 0, having done nothing, if another request has the key meanwhile.
local claim = redis.call('HMGET', KEYS[1], 'claimant', 'ended_by')
local claimant, ended_by = claim[1], claim[2]
if claimant == '' and ended_by == ARGV[1] then
  return 1
end
if claimant and claimant ~= ARGV[1] then
  return 0
end
if ARGV[4] == '' then
  redis.call('DEL', KEYS[1])
  return 1
end
redis.call('HSET', KEYS[1], 'digest', ARGV[2], 'claimant', '', 'ended_by', ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[3])
redis.call('SET', KEYS[2], ARGV[4], 'EX', ARGV[3])
return 1
