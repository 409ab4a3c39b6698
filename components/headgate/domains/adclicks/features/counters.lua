#!lua name=@LIBRARY@
-- The counters of one entity, a user or an IP: see counters.py and windows.py for what they mean. All keys of a call
-- carry one hash tag, so the same code runs on a cluster. Instants are microseconds, which doubles hold exactly.

local WIDTHS, BUCKETS = {@WIDTHS@}, {@BUCKETS@}  -- of the windows 1m, 10m, 1h, 1d
local HOUR, DAY, CAP = 3, 4, @CAP@
local HISTORY, LONGEST, EXPIRY = @HISTORY@, @LONGEST@, @EXPIRY@  -- µs, µs, ms

local function text(number)
  return string.format('%.0f', number)
end

local function floor_of(time, window)  -- when the oldest bucket begins that the window still holds
  return (math.floor(time / WIDTHS[window]) - BUCKETS[window] + 1) * WIDTHS[window]
end

-- A ring is {clicks held, bucket, clicks in it, bucket, …}, oldest first. Returns what it held, its span, and the next.
local function count(ring, time, window)
  local bucket = math.floor(time / WIDTHS[window])
  local held, first, last = ring[1], 2, #ring
  while held > 0 and ring[first] <= bucket - BUCKETS[window] do
    held = held - ring[first + 1]
    first = first + 2
  end
  local counted = {held + 1}
  for i = first, last do counted[#counted + 1] = ring[i] end
  if held > 0 and counted[#counted - 1] == bucket then
    counted[#counted] = counted[#counted] + 1
  else
    counted[#counted + 1] = bucket
    counted[#counted + 1] = 1
  end
  return held, bucket - counted[2] + 1, counted
end

-- Distinct members that the windows hold; `member` is then seen. The least recently seen goes beyond the cap.
local function distinct(key, member, time, over)
  redis.call('ZREMRANGEBYSCORE', key, '-inf', '(' .. text(floor_of(time, DAY)))
  local answers, all = {}, redis.call('ZCARD', key)
  for i, window in ipairs(over) do
    answers[i] = window == DAY and all or redis.call('ZCOUNT', key, text(floor_of(time, window)), '+inf')
  end
  if redis.call('ZADD', key, text(time), member) == 1 and all >= CAP then redis.call('ZPOPMIN', key) end
  redis.call('PEXPIRE', key, EXPIRY)
  return answers
end

-- keys: the entity, its bucket's mark, this id of the entity, a set for each kind of member.
-- args: effective time, arrival, the server's clock, a member of each kind.
-- Returns since when the bucket has counted (double) and the answer: gap (double), clicks and spans of each window
-- (uint32), distinct members (uint16), little-endian.
local function observe(keys, args)
  local time, received = tonumber(args[1]), tonumber(args[2])
  local since = redis.call('GET', keys[2])
  if not since then  -- an empty store, or one that was flushed
    since = args[3]
    redis.call('SET', keys[2], since)
  end
  local head = struct.pack('<d', tonumber(since))
  local before = redis.call('GET', keys[3])
  if before and received - struct.unpack('<d', before) <= HISTORY then
    return head .. string.sub(before, 9)
  end
  local latest, arrived, warmed, gap, rings = nil, received, 0, LONGEST, {{0}, {0}, {0}, {0}}
  local kept = redis.call('GET', keys[1])
  if kept then
    latest, arrived, warmed, rings = cmsgpack.unpack(kept)
    gap = math.min(math.max(time - latest, 0), LONGEST)
    time = math.max(time, latest)
  end
  local clicks, spans = {}, {}
  for window = 1, #WIDTHS do
    clicks[window], spans[window], rings[window] = count(rings[window], time, window)
  end
  local over, members = #keys == 4 and {DAY} or {HOUR, DAY}, {}
  for i = 4, #keys do
    for _, answer in ipairs(distinct(keys[i], args[i], time, over)) do members[#members + 1] = answer end
  end
  redis.call('SET', keys[1], cmsgpack.pack(time, received, warmed, rings), 'PX', EXPIRY)
  local answer = struct.pack('<dI4I4I4I4I4I4I4I4', gap, clicks[1], clicks[2], clicks[3], clicks[4],
    spans[1], spans[2], spans[3], spans[4])
  for _, number in ipairs(members) do answer = answer .. struct.pack('<I2', number) end
  redis.call('SET', keys[3], struct.pack('<d', received) .. answer, 'PX', EXPIRY)
  return head .. answer
end

-- Adds to an entity what a log holds of it from before its bucket was flushed; twice is once.
-- keys: the entity, a set for each kind of member. args: when the bucket began to count, the state to add: latest
-- time, latest arrival, rings, and for each kind members and times in turn.
local function add(keys, args)
  local flushed = tonumber(args[1])
  local latest, arrived, old, members = cmsgpack.unpack(args[2])
  local kept = redis.call('GET', keys[1])
  local rings = old
  if kept then
    local time, arrival, warmed, now = cmsgpack.unpack(kept)
    if warmed == flushed then return 0 end
    latest, arrived = math.max(latest, time), math.max(arrived, arrival)
    rings = {}
    for window = 1, #WIDTHS do
      local sum, buckets, ring = {}, {}, {old[window][1] + now[window][1]}
      for _, source in ipairs({old[window], now[window]}) do
        for i = 2, #source, 2 do
          if not sum[source[i]] then buckets[#buckets + 1] = source[i] end
          sum[source[i]] = (sum[source[i]] or 0) + source[i + 1]
        end
      end
      table.sort(buckets)
      for _, bucket in ipairs(buckets) do
        ring[#ring + 1] = bucket
        ring[#ring + 1] = sum[bucket]
      end
      rings[window] = ring
    end
  end
  for kind = 1, #members do
    local seen = members[kind]
    for i = 1, #seen, 2 do redis.call('ZADD', keys[kind + 1], 'GT', text(seen[i + 1]), seen[i]) end
    redis.call('ZREMRANGEBYRANK', keys[kind + 1], 0, -(CAP + 1))
    redis.call('PEXPIRE', keys[kind + 1], EXPIRY)
  end
  redis.call('SET', keys[1], cmsgpack.pack(latest, arrived, flushed, rings), 'PX', EXPIRY)
  return 1
end

redis.register_function('@LIBRARY@_observe', observe)
redis.register_function('@LIBRARY@_add', add)
