#include "proxy/limit_fields.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>

namespace weir::proxy {
namespace {

std::string_view suffix(shm::Unit unit) {
    switch (unit) {
        case shm::Unit::requests: return "requests";
        case shm::Unit::tokens: return "tokens";
        case shm::Unit::input_tokens: return "input-tokens";
        case shm::Unit::output_tokens: return "output-tokens";
    }
    return "units";
}

/// As LiteLLM writes them: "x-ratelimit-api_key-remaining-requests".
std::string field_name(std::string_view kind, std::string_view what, shm::Unit unit) {
    std::string name = "x-ratelimit-";
    if (!kind.empty()) name.append(kind).append("-");
    return name.append(what).append("-").append(suffix(unit));
}

bool is_daily(const router::Scope& scope) { return scope.window >= std::chrono::hours(24); }

}  // namespace

void append_limits(HeadWriter& head, const shm::Participant& participant,
                   std::span<router::Scope* const> callers, std::span<const router::Scope> deployments,
                   shm::Nanos now) {
    for (const router::Scope& scope : deployments) {
        const shm::LimiterUsage usage = participant.usage(scope.limiter, now);
        head.field(field_name({}, "limit", scope.unit), usage.limit);
        head.field(field_name({}, "remaining", scope.unit), usage.remaining);
        head.field(field_name({}, "reset", scope.unit), go_duration(usage.resets_in));
    }
    for (const router::Scope* scope : callers) {
        const shm::LimiterUsage usage = participant.usage(scope->limiter, now);
        const std::string kind = is_daily(*scope) ? scope->kind + "-day" : scope->kind;
        head.field(field_name(kind, "limit", scope->unit), usage.limit);
        head.field(field_name(kind, "remaining", scope->unit), usage.remaining);
    }
}

std::string go_duration(shm::Nanos duration) {
    const std::int64_t ms = std::max<std::int64_t>(0, (duration.count() + 999'999) / 1'000'000);
    if (ms < 1000) return fmt::format("{}ms", ms);
    const std::int64_t hours = ms / 3'600'000;
    const std::int64_t minutes = ms / 60'000 % 60;
    std::string text;
    if (hours > 0) text += fmt::format("{}h", hours);
    if (hours > 0 || minutes > 0) text += fmt::format("{}m", minutes);
    if (ms % 1000 == 0) return text + fmt::format("{}s", ms / 1000 % 60);
    return text + fmt::format("{:g}s", static_cast<double>(ms % 60'000) / 1000);
}

}  // namespace weir::proxy
