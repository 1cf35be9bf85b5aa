#include "proxy/limit_fields.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <string>
#include <string_view>

namespace weir::proxy {
namespace {

std::string_view suffix(shm::Unit unit) {
    switch (unit) {
        case shm::Unit::requests: return "-requests";
        case shm::Unit::tokens: return "-tokens";
        case shm::Unit::input_tokens: return "-input-tokens";
        case shm::Unit::output_tokens: return "-output-tokens";
    }
    return "-units";
}

bool is_daily(const router::Scope& scope) { return scope.window >= std::chrono::hours(24); }

/// The fields of one scope, named as LiteLLM names them: "x-ratelimit-api_key-remaining-requests".
class ScopeFields {
 public:
    /// `kind` is empty for the deployment's own.
    ScopeFields(HeadWriter& head, std::string_view kind, const router::Scope& scope)
        : head_(head), kind_(kind), unit_(suffix(scope.unit)) {
        if (!kind.empty()) dash_ = is_daily(scope) ? "-day-" : "-";
    }

    template <class Value>
    void add(std::string_view what, const Value& value) {
        head_.field({"x-ratelimit-", kind_, dash_, what, unit_}, value);
    }

 private:
    HeadWriter& head_;
    std::string_view kind_;
    std::string_view dash_;
    std::string_view unit_;
};

void append_number(std::string& out, std::int64_t number) {
    const fmt::format_int text(number);
    out.append(text.data(), text.size());
}

}  // namespace

void append_limits(HeadWriter& head, const shm::Participant& participant,
                   std::span<router::Scope* const> callers, std::span<const router::Scope> deployments,
                   shm::Nanos now) {
    for (const router::Scope& scope : deployments) {
        const shm::LimiterUsage usage = participant.usage(scope.limiter, now);
        ScopeFields fields(head, {}, scope);
        fields.add("limit", usage.limit);
        fields.add("remaining", usage.remaining);
        fields.add("reset", go_duration(usage.resets_in));
    }
    for (const router::Scope* scope : callers) {
        const shm::LimiterUsage usage = participant.usage(scope->limiter, now);
        ScopeFields fields(head, scope->kind, *scope);
        fields.add("limit", usage.limit);
        fields.add("remaining", usage.remaining);
    }
}

std::optional<shm::Nanos> parse_seconds(std::string_view text) noexcept {
    double seconds = -1;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    if (!(seconds >= 0 && seconds <= 86400)) return std::nullopt;
    return std::chrono::duration_cast<shm::Nanos>(std::chrono::duration<double>(seconds));
}

std::string go_duration(shm::Nanos duration) {
    const std::int64_t ms = std::max<std::int64_t>(0, (duration.count() + 999'999) / 1'000'000);
    std::string text;
    if (ms < 1000) {
        append_number(text, ms);
        return text.append("ms");
    }
    const std::int64_t hours = ms / 3'600'000;
    const std::int64_t minutes = ms / 60'000 % 60;
    if (hours > 0) {
        append_number(text, hours);
        text += 'h';
    }
    if (hours > 0 || minutes > 0) {
        append_number(text, minutes);
        text += 'm';
    }
    append_number(text, ms / 1000 % 60);
    if (ms % 1000 != 0) {
        append_number(text, 1000 + ms % 1000);  // four digits, of which the first becomes the point
        text[text.size() - 4] = '.';
        while (text.back() == '0') text.pop_back();
    }
    return text.append("s");
}

}  // namespace weir::proxy
