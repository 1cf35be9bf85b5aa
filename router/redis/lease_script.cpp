#include "router/redis/lease_script.hpp"

#include <fmt/format.h>
#include <openssl/sha.h>

namespace weir::router {
namespace {

// Keys: the hosts', then one for each report. Arguments: as lease_message.cpp writes them.
//
// The hosts' hash:
//   i incarnation                 t the latest time
//   y until when hosts that are expected may still be on their way
//   z the same after data was lost, and f after hosts were without contact: each limit adds its window
//   w the longest window seen     n live hosts, and c when they were counted
//   and for each host "lease's end, sequence, epoch", with an r behind it while it is registering
// The data has gone back to what it was some time ago, a copy from a disk or of a replica, if a host was
// answered later than the latest that is known of it; if it was `silence` ago, and nothing is known of it,
// for that stays as long as its lease and the longest window, at least; or if it was under another
// incarnation, when this one had begun already.
// A limit's hash: "." with the sums of charges and demands, and when the dead were looked for; and for each
// host "charge, demand, epoch". A charge stays for a window after its host's lease has ended, or until the
// host has registered anew without a word about it.
constexpr std::string_view kScript = R"lua(
local known = KEYS[1]
local clock, host = ARGV[1], ARGV[2]
local claimed, sequence, acked = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local flags, lease, margin = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local expected, nonce, silence = tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11])
local epoch = tonumber(ARGV[12])
local registering, more, failed = flags % 2 == 1, math.floor(flags / 2) % 2 == 1, flags >= 4

local function text(n) return string.format('%.0f', n) end
local function three(value)
  if not value then return nil end
  local a, b, c = string.match(value, '^(%d+) (%d+) (%d+)')
  return tonumber(a), tonumber(b), tonumber(c)
end

local function unfinished(value) return value and string.find(value, 'r', 1, true) end

local meta = redis.call('HMGET', known, 'i', 'y', 'z', 'w', 't', 'n', 'c', 'f', host)
local incarnation, young, lost = tonumber(meta[1] or 0), tonumber(meta[2] or 0), tonumber(meta[3] or 0)
local widest, live, counted = tonumber(meta[4] or 0), tonumber(meta[6] or 0), tonumber(meta[7] or 0)
local alone = tonumber(meta[8] or 0)
local ends, last, since = three(meta[9])
if not registering then epoch = since end
local whole = unfinished(meta[9]) == nil

local now
if clock == '' then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
else
  now = tonumber(clock)
end
now = math.max(now, tonumber(meta[5] or 0))

local gone_back = false
if claimed == incarnation then
  gone_back = acked > 0 and ((ends and acked > last) or (not ends and silence < lease + widest))
elseif claimed ~= 0 then
  gone_back = now - silence > young - lease - margin
end
if incarnation == 0 then
  incarnation, young, counted = nonce, now + lease + margin, 0
elseif gone_back then
  redis.call('DEL', known)
  incarnation, young, counted, ends = nonce, now + lease + margin, 0, nil
  lost = young
end
if claimed ~= 0 and claimed ~= incarnation then lost = math.max(lost, young) end

local function save()
  redis.call('HSET', known, 'i', text(incarnation), 'y', text(young), 'z', text(lost), 'w', text(widest),
             't', text(now), 'n', text(live), 'c', text(counted), 'f', text(alone))
end
if claimed ~= incarnation or (not registering and (not ends or ends <= now or not whole)) then
  save()
  return {1, incarnation, live}
end
if ends and sequence <= last then return {2, incarnation, live} end

if failed then alone = math.max(alone, now + lease + margin) end
local reports = #KEYS - 1
for i = 1, reports do widest = math.max(widest, tonumber(ARGV[14 + (i - 1) * 7])) end
redis.call('HSET', known, host, string.format('%.0f %.0f %.0f', now + lease + margin, sequence, epoch)
           .. (more and ' r' or ''))

-- Once a second; while it matters who is there as often as it costs little, which is as much as they are.
local troubled = now < young or now < math.max(lost, alone) + widest
if now >= counted + (troubled and math.min(live, 1000) or 1000) then
  live, counted = 0, now
  local all = redis.call('HGETALL', known)
  for i = 1, #all, 2 do
    local till = string.match(all[i], '^%d+$') and three(all[i + 1])
    if till and till > now then
      if not unfinished(all[i + 1]) then live = live + 1 end
    elseif till and till + widest + margin <= now then
      redis.call('HDEL', known, all[i])
    end
  end
end
local complete = live >= expected
save()

local function sweep(key, window)
  local all, hosts = redis.call('HGETALL', key), {}
  for i = 1, #all, 2 do
    if all[i] ~= '.' then hosts[#hosts + 1] = all[i] end
  end
  local charges, demands = 0, 0
  if #hosts == 0 then return charges, demands end
  local at, lines = {}, {}
  for i = 1, #all, 2 do at[all[i]] = all[i + 1] end
  for from = 1, #hosts, 1000 do
    local some = redis.call('HMGET', known, unpack(hosts, from, math.min(from + 999, #hosts)))
    for i = 1, #some do lines[from + i - 1] = some[i] end
  end
  for i = 1, #hosts do
    local charge, demand, told = three(at[hosts[i]])
    local till, _, of_host = three(lines[i])
    local gone
    if till then
      gone = till + window <= now or (told < of_host and not unfinished(lines[i]))
    else
      gone = now >= young and now >= lost + window
    end
    if gone then
      redis.call('HDEL', key, hosts[i])
    else
      if till and till <= now and demand > 0 then
        demand = 0
        redis.call('HSET', key, hosts[i], string.format('%.0f 0 %.0f', charge, told))
      end
      charges, demands = charges + charge, demands + demand
    end
  end
  return charges, demands
end

local function fair(full, demand, demands)
  if demands <= full then return full end
  return math.ceil(full * demand / demands)
end

local answer = {0, incarnation, live}
for i = 1, reports do
  local key, at = KEYS[i + 1], 12 + (i - 1) * 7
  local full, window, hold = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
  local used, demand = tonumber(ARGV[at + 4]), tonumber(ARGV[at + 5])
  local need, ask = tonumber(ARGV[at + 6]), tonumber(ARGV[at + 7])
  local found = redis.call('HMGET', key, '.', host)
  local charges, demands, swept = 0, 0, 0
  if found[1] then
    charges, demands, swept = three(found[1])
  end
  local charge_before, demand_before = three(found[2])
  local charge = math.max(hold, used)
  charges = math.max(charges + charge - (charge_before or 0), charge)
  demands = math.max(demands + demand - (demand_before or 0), demand)
  redis.call('HSET', key, host, string.format('%.0f %.0f %.0f', charge, demand, epoch))

  local cap = full
  if more or (now < lost + window and not complete) then
    cap = hold
  elseif (now < young or now < alone + window) and not complete then
    cap = math.max(hold, math.floor(full / math.max(expected, 1)))
  end
  local least = math.min(need, cap)
  if least > hold and least > charge + full - charges and now >= swept + 1000 then
    charges, demands = sweep(key, window)
    swept = now
  end
  local share = fair(full, demand, demands)
  local room = math.max(full - charges, 0)
  local granted = math.max(hold, math.min(need, cap, charge + room))
  local left = room - (math.max(granted, charge) - charge)
  local wished = math.min(ask, cap, share)
  if wished > granted then
    granted = math.max(granted, math.min(wished, math.max(granted, charge) + math.floor(left / 2)))
  elseif share + full / 32 < hold and left < math.max(1, full / 50) and cap == full then
    granted = share
  end

  local charged = math.max(granted, charge)
  charges = charges + charged - charge
  if charged == 0 and demand == 0 then
    redis.call('HDEL', key, host)
  else
    redis.call('HSET', key, host, string.format('%.0f %.0f %.0f', charged, demand, epoch))
  end
  if charges == 0 and demands == 0 then
    redis.call('DEL', key)
  else
    redis.call('HSET', key, '.', string.format('%.0f %.0f %.0f', charges, demands, swept))
    redis.call('PEXPIRE', key, text(2 * (window + lease + margin) + 60000))
  end
  answer[#answer + 1] = granted
end
return answer
)lua";

}  // namespace

std::string_view lease_script() noexcept { return kScript; }

const std::string& lease_script_sha1() {
    static const std::string hex = [] {
        unsigned char digest[SHA_DIGEST_LENGTH];
        SHA1(reinterpret_cast<const unsigned char*>(kScript.data()), kScript.size(), digest);
        std::string text;
        for (const unsigned char byte : digest) text += fmt::format("{:02x}", byte);
        return text;
    }();
    return hex;
}

}  // namespace weir::router
