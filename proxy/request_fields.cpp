#include "proxy/request_fields.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <string>
#include <string_view>

#include "router/feedback.hpp"

namespace weir::proxy {
namespace {

constexpr std::string_view kPrefix = "x-litellm-";
constexpr std::string_view kWait = "x-weir-max-wait";

/// As long as a body's "timeout" may be.
constexpr double kSecondsMax = 7 * 86400.0;
constexpr std::uint32_t kRetriesMax = 100;

router::ApiError refusal(std::string_view name, std::string_view expected) {
    return {400, fmt::format("The header field '{}' must be {}.", name, expected), "invalid_request_error",
            std::string(name), {}};
}

/// All of `text` as a number; false if it is none.
template <class Number>
bool read(std::string_view text, Number& number) noexcept {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc() && end == text.data() + text.size();
}

/// More than 0: that would be none or all, as one looks at it.
std::optional<router::ApiError> read_timeout(const router::Field& field, std::optional<double>& timeout) {
    const auto said = router::parse_seconds(field.value);
    const double seconds = said ? shm::to_seconds(*said) : 0;
    if (!(seconds > 0 && seconds <= kSecondsMax)) return refusal(field.name, "a number of seconds");
    timeout = seconds;
    return std::nullopt;
}

std::optional<router::ApiError> read_wait(const router::Field& field, router::RequestFacts& facts) {
    const auto said = router::parse_seconds(field.value);
    if (!said || *said > std::chrono::hours(24)) {
        return refusal(field.name, "a number of seconds up to a day");
    }
    facts.max_wait_seconds = shm::to_seconds(*said);
    return std::nullopt;
}

std::optional<router::ApiError> read_retries(const router::Field& field, router::RequestFacts& facts) {
    std::uint32_t retries = 0;
    if (!read(field.value, retries) || retries > kRetriesMax) {
        return refusal(field.name, fmt::format("a whole number from 0 to {}", kRetriesMax));
    }
    facts.num_retries = retries;
    return std::nullopt;
}

std::optional<router::ApiError> read_tags(const router::Field& field, router::RequestFacts& facts) {
    std::string_view rest = field.value;
    while (!rest.empty()) {
        const std::size_t comma = std::min(rest.find(','), rest.size());
        std::string_view tag = rest.substr(0, comma);
        rest.remove_prefix(std::min(comma + 1, rest.size()));
        while (!tag.empty() && tag.front() == ' ') tag.remove_prefix(1);
        while (!tag.empty() && tag.back() == ' ') tag.remove_suffix(1);
        if (tag.empty()) continue;
        if (facts.tags.size() == router::kTagsMax) {
            return refusal(field.name,
                           fmt::format("{} tags at most, with those of the body", router::kTagsMax));
        }
        facts.tags.emplace_back(tag);
    }
    return std::nullopt;
}

}  // namespace

std::optional<router::ApiError> apply_fields(const router::Fields& fields, router::RequestFacts& facts) {
    std::optional<router::ApiError> error;
    for (std::size_t i = 0; i < fields.size() && !error; ++i) {
        const router::Field field = fields[i];
        // Most fields are others', and most requests have none of these.
        if (router::same_name(field.name, kWait)) error = read_wait(field, facts);
        if (field.name.size() <= kPrefix.size() || field.name[kPrefix.size() - 1] != '-') continue;
        if (!router::same_name(field.name.substr(0, kPrefix.size()), kPrefix)) continue;
        const std::string_view name = field.name.substr(kPrefix.size());
        if (router::same_name(name, "num-retries")) error = read_retries(field, facts);
        if (router::same_name(name, "tags")) error = read_tags(field, facts);
        if (router::same_name(name, "timeout")) error = read_timeout(field, facts.timeout_seconds);
        if (router::same_name(name, "stream-timeout")) {
            error = read_timeout(field, facts.stream_timeout_seconds);
        }
    }
    return error;
}

}  // namespace weir::proxy
