-- Note how far a request is, in case its process dies. A reservation that was settled meanwhile does not come back.
-- KEYS[1] the reservation (hash)     ARGV[1] field: begun | completion_tokens     ARGV[2] value
if redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
end
