#include "proxy/limit_fields.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "proxy/caller.hpp"

namespace weir::proxy {
namespace {

/// Of a deployment's limits.
const LimitFieldNames& names_of(shm::Unit unit) {
    static const std::array names = [] {
        const auto made = [](shm::Unit of) { return limit_field_names({}, of, {}); };
        return std::array{made(shm::Unit::requests), made(shm::Unit::tokens),
                          made(shm::Unit::input_tokens), made(shm::Unit::output_tokens)};
    }();
    return names[static_cast<std::size_t>(unit) % names.size()];
}

}  // namespace

LimitFieldNames limit_field_names(std::string_view kind, shm::Unit unit, shm::Nanos window) {
    std::string units = shm::unit_name(unit);
    std::replace(units.begin(), units.end(), '_', '-');
    const std::string_view dash = kind.empty() ? "" : window >= std::chrono::hours(24) ? "-day-" : "-";
    const auto name = [&](std::string_view what) {
        return fmt::format("x-ratelimit-{}{}{}-{}: ", kind, dash, what, units);
    };
    return {name("limit"), name("remaining"), name("reset")};
}

void append_limits(HeadWriter& head, const shm::Participant& participant, const CallerScopes& caller,
                   std::span<const router::Scope> deployments, shm::Nanos now) {
    for (const router::Scope& scope : deployments) {
        const LimitFieldNames& names = names_of(scope.unit);
        const shm::LimiterUsage usage = participant.usage(scope.limiter, now);
        head.line(names.limit, usage.limit);
        head.line(names.remaining, usage.remaining);
        head.line(names.reset, go_duration(usage.resets_in));
    }
    for (std::size_t i = 0; i < caller.windows.size(); ++i) {
        const LimitFieldNames& names = *caller.names[i];
        const shm::LimiterUsage usage = participant.look(caller.windows[i]->limiter, now);
        head.line(names.limit, usage.limit);
        head.line(names.remaining, usage.remaining);
    }
}

std::string go_duration(shm::Nanos duration) {
    const std::int64_t ms = std::max<std::int64_t>(0, (duration.count() + 999'999) / 1'000'000);
    // From the end to the beginning: "1h2m3.45s".
    std::array<char, 40> text;
    char* at = text.data() + text.size();
    const auto put = [&at](std::int64_t number, int digits_min) {
        for (; number != 0 || digits_min > 0; number /= 10, --digits_min) {
            *--at = static_cast<char>('0' + number % 10);
        }
    };
    *--at = 's';
    if (ms < 1000) {
        *--at = 'm';
        put(ms, 1);
        return {at, text.data() + text.size()};
    }
    if (std::int64_t part = ms % 1000; part != 0) {
        int digits = 3;
        for (; part % 10 == 0; part /= 10) --digits;
        put(part, digits);
        *--at = '.';
    }
    put(ms / 1000 % 60, 1);
    if (const std::int64_t minutes = ms / 60'000; minutes > 0) {
        *--at = 'm';
        put(minutes % 60, 1);
        if (minutes >= 60) *--at = 'h';
        if (minutes >= 60) put(minutes / 60, 1);
    }
    return {at, text.data() + text.size()};
}

}  // namespace weir::proxy
