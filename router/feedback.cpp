#include "router/feedback.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cmath>

namespace weir::router {
namespace {

using shm::Nanos;

constexpr Nanos kLongest = std::chrono::hours(24 * 366);

std::string_view trimmed(std::string_view text) noexcept {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

std::optional<Nanos> from_seconds(double seconds) noexcept {
    if (!(seconds >= 0)) return std::nullopt;
    const double most = shm::to_seconds(kLongest);
    return Nanos(std::llround(std::min(seconds, most) * 1e9));
}

/// A decimal number without sign or exponent at the front of `text`, which is moved behind it.
std::optional<double> take_decimal(std::string_view& text) noexcept {
    const auto size = std::min(text.find_first_not_of("0123456789."), text.size());
    double value = 0;
    const auto [end, error] =
        std::from_chars(text.data(), text.data() + size, value, std::chars_format::fixed);
    if (error != std::errc() || end != text.data() + size) return std::nullopt;
    text.remove_prefix(size);
    return value;
}

/// Exactly `digits` digits at the front.
std::optional<int> take_digits(std::string_view& text, std::size_t digits) noexcept {
    if (text.size() < digits) return std::nullopt;
    int value = 0;
    for (const char c : text.substr(0, digits)) {
        if (c < '0' || c > '9') return std::nullopt;
        value = value * 10 + (c - '0');
    }
    text.remove_prefix(digits);
    return value;
}

bool take(std::string_view& text, std::string_view expected) noexcept {
    if (text.substr(0, expected.size()) != expected) return false;
    text.remove_prefix(expected.size());
    return true;
}

struct Moment {
    int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
};

std::optional<Nanos> since_1970(const Moment& m) noexcept {
    using namespace std::chrono;
    const year_month_day date{year(m.year), month(static_cast<unsigned>(m.month)),
                              day(static_cast<unsigned>(m.day))};
    // 60 is a leap second.
    if (!date.ok() || m.hour > 23 || m.minute > 59 || m.second > 60) return std::nullopt;
    if (m.year < 1970 || m.year > 2200) return std::nullopt;
    return Nanos(sys_days(date).time_since_epoch()) + hours(m.hour) + minutes(m.minute) +
           seconds(m.second);
}

/// "Nov" at the front, as 11.
std::optional<int> take_month(std::string_view& text) noexcept {
    constexpr std::string_view names = "JanFebMarAprMayJunJulAugSepOctNovDec";
    for (int i = 0; i < 12; ++i) {
        if (take(text, names.substr(static_cast<std::size_t>(i) * 3, 3))) return i + 1;
    }
    return std::nullopt;
}

/// "08:49:37" at the front.
bool take_time(std::string_view& text, Moment& m) noexcept {
    const auto hour = take_digits(text, 2);
    if (!hour || !take(text, ":")) return false;
    const auto minute = take_digits(text, 2);
    if (!minute || !take(text, ":")) return false;
    const auto second = take_digits(text, 2);
    if (!second) return false;
    m.hour = *hour;
    m.minute = *minute;
    m.second = *second;
    return true;
}

/// "06 Nov 1994 08:49:37 GMT" or "06-Nov-94 08:49:37 GMT".
std::optional<Nanos> parse_day_first(std::string_view text) noexcept {
    Moment m;
    const auto day = take_digits(text, 2);
    const bool obsolete = !text.empty() && text.front() == '-';
    if (!day || !(take(text, "-") || take(text, " "))) return std::nullopt;
    const auto month = take_month(text);
    if (!month || !take(text, obsolete ? "-" : " ")) return std::nullopt;
    const auto year = take_digits(text, obsolete ? 2 : 4);
    if (!year || !take(text, " ") || !take_time(text, m) || text != " GMT") return std::nullopt;
    m.day = *day;
    m.month = *month;
    m.year = obsolete ? *year + (*year < 70 ? 2000 : 1900) : *year;
    return since_1970(m);
}

/// "Nov  6 08:49:37 1994", as of asctime.
std::optional<Nanos> parse_month_first(std::string_view text) noexcept {
    Moment m;
    const auto month = take_month(text);
    if (!month || !take(text, " ")) return std::nullopt;
    const auto day = take_digits(text, take(text, " ") ? 1 : 2);
    if (!day || !take(text, " ") || !take_time(text, m) || !take(text, " ")) return std::nullopt;
    const auto year = take_digits(text, 4);
    if (!year || !text.empty()) return std::nullopt;
    m.month = *month;
    m.day = *day;
    m.year = *year;
    return since_1970(m);
}

/// "Z" or "+02:00", as what to subtract.
std::optional<Nanos> take_offset(std::string_view& text) noexcept {
    if (take(text, "Z") || take(text, "z")) return Nanos(0);
    const bool minus = !text.empty() && text.front() == '-';
    if (!take(text, "+") && !take(text, "-")) return std::nullopt;
    const auto hours = take_digits(text, 2);
    if (!hours || !take(text, ":")) return std::nullopt;
    const auto minutes = take_digits(text, 2);
    if (!minutes || *hours > 23 || *minutes > 59) return std::nullopt;
    const Nanos offset = std::chrono::hours(*hours) + std::chrono::minutes(*minutes);
    return minus ? -offset : offset;
}

std::optional<Nanos> until(std::optional<Nanos> time, Nanos unix_now) noexcept {
    if (!time) return std::nullopt;
    return std::clamp(*time - unix_now, Nanos(0), kLongest);
}

std::optional<std::uint64_t> parse_count(std::string_view text) noexcept {
    text = trimmed(text);
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
}

std::optional<Nanos> parse_reset(std::string_view text, Nanos unix_now) noexcept {
    text = trimmed(text);
    if (const auto duration = parse_go_duration(text)) return duration;
    if (const auto seconds = parse_seconds(text)) return seconds;
    return until(parse_rfc3339(text), unix_now);
}

struct QuotaNames {
    std::string_view limit, remaining, reset;
};

void read_quota(const Fields& fields, const QuotaNames& names, Nanos unix_now, Quota& quota) {
    if (const auto value = fields.get(names.limit); !value.empty())
        quota.limit = parse_count(value);
    if (const auto value = fields.get(names.remaining); !value.empty())
        quota.remaining = parse_count(value);
    if (const auto value = fields.get(names.reset); !value.empty())
        quota.reset = parse_reset(value, unix_now);
}

}  // namespace

Feedback read_feedback(const Fields& fields, Nanos unix_now) {
    Feedback feedback;
    if (const auto ms = parse_seconds(fields.get("retry-after-ms")))
        feedback.retry_after = *ms / 1000;
    if (const auto text = trimmed(fields.get("retry-after"));
        !feedback.retry_after && !text.empty()) {
        feedback.retry_after = parse_seconds(text);
        if (!feedback.retry_after) feedback.retry_after = until(parse_http_date(text), unix_now);
    }
    read_quota(fields,
               {"x-ratelimit-limit-requests", "x-ratelimit-remaining-requests",
                "x-ratelimit-reset-requests"},
               unix_now, feedback.requests);
    read_quota(
        fields,
        {"x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"},
        unix_now, feedback.tokens);
    read_quota(fields,
               {"anthropic-ratelimit-requests-limit", "anthropic-ratelimit-requests-remaining",
                "anthropic-ratelimit-requests-reset"},
               unix_now, feedback.requests);
    read_quota(fields,
               {"anthropic-ratelimit-tokens-limit", "anthropic-ratelimit-tokens-remaining",
                "anthropic-ratelimit-tokens-reset"},
               unix_now, feedback.tokens);
    read_quota(
        fields,
        {"anthropic-ratelimit-input-tokens-limit", "anthropic-ratelimit-input-tokens-remaining",
         "anthropic-ratelimit-input-tokens-reset"},
        unix_now, feedback.input_tokens);
    read_quota(
        fields,
        {"anthropic-ratelimit-output-tokens-limit", "anthropic-ratelimit-output-tokens-remaining",
         "anthropic-ratelimit-output-tokens-reset"},
        unix_now, feedback.output_tokens);
    return feedback;
}

std::optional<Nanos> exhausted_for(const Feedback& feedback) noexcept {
    std::optional<Nanos> longest;
    for (const Quota* quota :
         {&feedback.requests, &feedback.tokens, &feedback.input_tokens, &feedback.output_tokens}) {
        if (quota->exhausted() && quota->reset)
            longest = std::max(longest.value_or(Nanos(0)), *quota->reset);
    }
    return longest;
}

std::optional<Nanos> parse_seconds(std::string_view text) noexcept {
    text = trimmed(text);
    const auto value = take_decimal(text);
    if (!value || !text.empty()) return std::nullopt;
    return from_seconds(*value);
}

std::optional<Nanos> parse_go_duration(std::string_view text) noexcept {
    constexpr std::array<std::pair<std::string_view, double>, 7> units = {{{"ns", 1e-9},
                                                                           {"us", 1e-6},
                                                                           {"\xc2\xb5s", 1e-6},
                                                                           {"ms", 1e-3},
                                                                           {"s", 1},
                                                                           {"m", 60},
                                                                           {"h", 3600}}};
    text = trimmed(text);
    if (text.empty()) return std::nullopt;
    double seconds = 0;
    while (!text.empty()) {
        const auto value = take_decimal(text);
        if (!value) return std::nullopt;
        const auto* const unit = std::find_if(units.begin(), units.end(),
                                              [&](const auto& u) { return take(text, u.first); });
        if (unit == units.end()) return std::nullopt;
        seconds += *value * unit->second;
    }
    return from_seconds(seconds);
}

std::optional<Nanos> parse_http_date(std::string_view text) noexcept {
    text = trimmed(text);
    const auto space = text.find(' ');
    if (space == std::string_view::npos || space < 3) return std::nullopt;
    const bool comma = text[space - 1] == ',';
    text.remove_prefix(space + 1);
    return comma ? parse_day_first(text) : parse_month_first(text);
}

std::optional<Nanos> parse_rfc3339(std::string_view text) noexcept {
    text = trimmed(text);
    Moment m;
    const auto year = take_digits(text, 4);
    if (!year || !take(text, "-")) return std::nullopt;
    const auto month = take_digits(text, 2);
    if (!month || !take(text, "-")) return std::nullopt;
    const auto day = take_digits(text, 2);
    if (!day || !(take(text, "T") || take(text, "t") || take(text, " "))) return std::nullopt;
    if (!take_time(text, m)) return std::nullopt;
    double fraction = 0;
    if (!text.empty() && text.front() == '.') {
        const auto value = take_decimal(text);
        if (!value) return std::nullopt;
        fraction = *value;
    }
    const auto offset = take_offset(text);
    m.year = *year;
    m.month = *month;
    m.day = *day;
    const auto time = since_1970(m);
    if (!time || !offset || !text.empty()) return std::nullopt;
    return *time + Nanos(std::llround(fraction * 1e9)) - *offset;
}

}  // namespace weir::router
