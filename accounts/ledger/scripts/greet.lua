-- The first words on a new connection: is this still the Redis that the epoch was declared on?
-- Another run_id means that it was restarted, or that a replica took its place: the last writes may be missing.
-- KEYS[1] epoch (hash)
-- Returns its run_id.
local run_id = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
local declared_on = redis.call('HGET', KEYS[1], 'run_id')
if declared_on and declared_on ~= run_id then
  redis.call('DEL', KEYS[1])
end
return run_id
