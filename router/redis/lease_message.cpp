#include "router/redis/lease_message.hpp"

#include <fmt/format.h>

namespace weir::router {
namespace {

constexpr unsigned kRegistering = 1;
constexpr unsigned kMore = 2;
constexpr unsigned kFailed = 4;

}  // namespace

std::vector<std::string> to_words(const Beat& beat, std::string_view prefix,
                                  std::optional<std::int64_t> clock_ms) {
    std::vector<std::string> words;
    words.reserve(14 + 8 * beat.reports.size());
    const auto add = [&](auto number) { words.push_back(fmt::to_string(number)); };
    add(beat.reports.size() + 1);
    words.push_back(fmt::format("{}hosts", prefix));
    for (const LeaseReport& report : beat.reports) words.push_back(fmt::format("{}{}", prefix, report.key));
    words.push_back(clock_ms ? fmt::to_string(*clock_ms) : std::string());
    add(beat.host);
    add(beat.claimed);
    add(beat.sequence);
    add(beat.acked);
    add((beat.registering ? kRegistering : 0) | (beat.more ? kMore : 0) | (beat.failed ? kFailed : 0));
    add(beat.lease_ms);
    add(beat.margin_ms);
    add(beat.hosts_expected);
    add(beat.nonce);
    add(beat.silence_ms);
    add(beat.epoch);
    for (const LeaseReport& report : beat.reports) {
        add(report.full);
        add(report.window_ms);
        add(report.hold);
        add(report.used);
        add(report.demand);
        add(report.need);
        add(report.ask);
    }
    return words;
}

std::optional<BeatAnswer> read_answer(const RedisValue& value, std::size_t reports) {
    if (value.kind != RedisValue::Kind::array || value.elements.size() < 3) return std::nullopt;
    for (const RedisValue& element : value.elements) {
        if (element.kind != RedisValue::Kind::integer || element.integer < 0) return std::nullopt;
    }
    const auto number = [&](std::size_t i) { return static_cast<std::uint64_t>(value.elements[i].integer); };
    if (number(0) > 2) return std::nullopt;
    BeatAnswer answer;
    answer.status = static_cast<BeatAnswer::Status>(number(0));
    answer.incarnation = number(1);
    answer.hosts = number(2);
    const std::size_t leases = value.elements.size() - 3;
    if (leases != (answer.status == BeatAnswer::Status::granted ? reports : 0)) return std::nullopt;
    for (std::size_t i = 0; i < leases; ++i) answer.leases.push_back(number(3 + i));
    return answer;
}

}  // namespace weir::router
