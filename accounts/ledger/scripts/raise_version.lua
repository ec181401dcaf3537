-- Raise the published configuration version; never lower it.
-- KEYS[1] configuration version   ARGV[1] the version that was committed
local current = tonumber(redis.call('GET', KEYS[1]) or '0')
local committed = tonumber(ARGV[1])
if committed > current then
  redis.call('SET', KEYS[1], committed)
  return committed
end
return current
