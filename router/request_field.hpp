// The fields of a request's body that are acted upon, by their names. Internal to request.cpp and
// multipart.cpp.
//
// Thread safety: pure.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace weir::router {

/// What is made of a field. Each name may occur once.
enum class BodyField : std::uint8_t {
    model,
    stream,
    stream_options,
    max_tokens,
    n,
    user,
    metadata,
    text,      ///< of the prompt
    messages,  ///< likewise
    tools,     ///< likewise: names count like values
    // Meant for the router alone:
    tags,
    litellm_metadata,
    priority,
    timeout,
    request_timeout,
    stream_timeout,
    max_wait_seconds,
    num_retries,
    fallbacks,
    context_window_fallbacks,
    content_policy_fallbacks,
    disable_fallbacks,
    max_fallbacks,
    mock_testing_fallbacks,
    mock_testing_context_fallbacks,
    mock_testing_content_policy_fallbacks,
    mock_testing_rate_limit_error,
    left_out,  ///< LiteLLM's own, without effect here
    refused,   ///< LiteLLM's own, and to do without what it asks for would be wrong
    other,     ///< the upstream's affair
};

/// Meant for the router alone: not passed on.
constexpr bool is_own(BodyField field) noexcept {
    return field >= BodyField::tags && field < BodyField::other;
}

struct KnownField {
    std::string_view name;
    BodyField field = BodyField::other;
    std::string_view why{};  ///< it has no effect, or is refused
};

/// Reasons that several fields have.
namespace why {
inline constexpr std::string_view kNoCache = "answers are not cached";
inline constexpr std::string_view kNoCallbacks =
    "there are no callbacks; /metrics and the access log are built in";
inline constexpr std::string_view kUnchanged = "bodies pass through unchanged";
inline constexpr std::string_view kNoMocks = "mock answers come from weir-fake-server";
inline constexpr std::string_view kNoChoice = "clients cannot choose the upstream's address or key";
}  // namespace why

inline constexpr auto kKnownFields = std::to_array<KnownField>({
    {"model", BodyField::model},
    {"stream", BodyField::stream},
    {"stream_options", BodyField::stream_options},
    {"max_tokens", BodyField::max_tokens},
    {"max_completion_tokens", BodyField::max_tokens},
    {"max_output_tokens", BodyField::max_tokens},
    {"n", BodyField::n},
    {"best_of", BodyField::n},
    {"user", BodyField::user},
    {"metadata", BodyField::metadata},
    {"prompt", BodyField::text},
    {"input", BodyField::text},
    {"instructions", BodyField::text},
    {"system", BodyField::text},
    {"messages", BodyField::messages},
    {"tools", BodyField::tools},
    {"functions", BodyField::tools},
    {"tags", BodyField::tags},
    {"litellm_metadata", BodyField::litellm_metadata},
    {"priority", BodyField::priority},
    {"timeout", BodyField::timeout},
    {"request_timeout", BodyField::request_timeout},
    {"stream_timeout", BodyField::stream_timeout},
    {"max_wait_seconds", BodyField::max_wait_seconds},
    {"num_retries", BodyField::num_retries},
    {"fallbacks", BodyField::fallbacks},
    {"context_window_fallbacks", BodyField::context_window_fallbacks},
    {"content_policy_fallbacks", BodyField::content_policy_fallbacks},
    {"disable_fallbacks", BodyField::disable_fallbacks},
    {"max_fallbacks", BodyField::max_fallbacks},
    {"mock_testing_fallbacks", BodyField::mock_testing_fallbacks},
    {"mock_testing_context_fallbacks", BodyField::mock_testing_context_fallbacks},
    {"mock_testing_content_policy_fallbacks", BodyField::mock_testing_content_policy_fallbacks},
    {"mock_testing_rate_limit_error", BodyField::mock_testing_rate_limit_error},
    {"cache", BodyField::left_out, why::kNoCache},
    {"caching", BodyField::left_out, why::kNoCache},
    {"ttl", BodyField::left_out, why::kNoCache},
    {"no-log", BodyField::left_out, why::kNoCallbacks},
    {"litellm_call_id", BodyField::left_out, why::kNoCallbacks},
    {"litellm_session_id", BodyField::left_out, why::kNoCallbacks},
    {"litellm_trace_id", BodyField::left_out, why::kNoCallbacks},
    {"drop_params", BodyField::left_out, why::kUnchanged},
    {"additional_drop_params", BodyField::left_out, why::kUnchanged},
    {"allowed_openai_params", BodyField::left_out, why::kUnchanged},
    {"merge_reasoning_content_in_choices", BodyField::left_out, why::kUnchanged},
    {"max_retries", BodyField::left_out, "see num_retries"},
    {"mock_response", BodyField::refused, why::kNoMocks},
    {"mock_tool_calls", BodyField::refused, why::kNoMocks},
    {"mock_timeout", BodyField::refused, why::kNoMocks},
    {"mock_delay", BodyField::refused, why::kNoMocks},
    {"guardrails", BodyField::refused, "there are no Python hooks"},
    {"api_base", BodyField::refused, why::kNoChoice},
    {"base_url", BodyField::refused, why::kNoChoice},
    {"api_key", BodyField::refused, why::kNoChoice},
});

/// A body has many fields that are not known: each is compared with the names of its own length only.
class FieldsByLength {
 public:
    constexpr FieldsByLength() {
        std::sort(sorted_.begin(), sorted_.end(), [](const KnownField& a, const KnownField& b) {
            return a.name.size() < b.name.size();
        });
        for (const KnownField& known : sorted_) ++first_[known.name.size() + 1];
        for (std::size_t i = 1; i < first_.size(); ++i) {
            first_[i] = static_cast<std::uint8_t>(first_[i] + first_[i - 1]);
        }
    }

    static constexpr std::size_t kCount = kKnownFields.size();

    /// Its number, or kCount if it is not known.
    constexpr std::size_t find(std::string_view key) const noexcept {
        if (key.size() > kLongest) return kCount;
        for (std::size_t i = first_[key.size()]; i < first_[key.size() + 1]; ++i) {
            if (sorted_[i].name == key) return i;
        }
        return kCount;
    }
    constexpr const KnownField& operator[](std::size_t number) const noexcept { return sorted_[number]; }

 private:
    static constexpr std::size_t kLongest = 40;
    std::array<KnownField, kCount> sorted_ = kKnownFields;
    std::array<std::uint8_t, kLongest + 2> first_{};  // by length: where those names begin
};
inline constexpr FieldsByLength kFieldsByLength;

}  // namespace weir::router
