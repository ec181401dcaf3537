-- Note how far a stream is, in case its process dies. A reservation that was settled meanwhile does not come back.
-- KEYS[1] the reservation (hash)     ARGV[1] completion tokens delivered
if redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('HSET', KEYS[1], 'completion_tokens', ARGV[1])
end
