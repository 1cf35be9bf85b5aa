// Heads of responses as bytes, and the few bodies that the proxy writes itself.
//
// Thread safety: pure.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "router/api_error.hpp"
#include "router/fields.hpp"

namespace weir::proxy {

/// Writes a head, field by field, at the end of a string.
class HeadWriter {
 public:
    /// Fields alone.
    explicit HeadWriter(std::string& out) : out_(out) {}
    /// Begins with the status line.
    HeadWriter(std::string& out, unsigned status);
    HeadWriter& field(std::string_view name, std::string_view value);
    HeadWriter& field(std::string_view name, std::uint64_t value);
    /// The same for a name in two parts.
    HeadWriter& field(std::string_view prefix, std::string_view name, std::string_view value);
    /// The same for a name that comes with its colon and a space.
    HeadWriter& line(std::string_view name, std::string_view value);
    HeadWriter& line(std::string_view name, std::uint64_t value);
    /// The empty line.
    void end() { out_ += "\r\n"; }

 private:
    std::string& out_;
};

/// An answer that is there as a whole.
struct PlainAnswer {
    unsigned status = 200;
    std::string content_type = "application/json";
    std::string body;
    std::vector<std::pair<std::string, std::string>> fields;
};

/// `error` in OpenAI's shape. A 429 always says when to come back: `retry-after` in whole seconds,
/// rounded up, and `retry-after-ms`; a second if nobody can know. Beyond a minute also
/// `x-should-retry: false`, for openai-node would otherwise come back too early.
PlainAnswer to_answer(const router::ApiError& error);

/// Appends retry-after and retry-after-ms for an upstream's 429, whose answer has `fields`, if they do
/// not say when to come back: clients that are not told come back too early, or all at once.
void append_retry_after(const router::Fields& fields, HeadWriter& head);

/// {"detail": …}, as LiteLLM answers what it has no route for.
PlainAnswer detail_answer(unsigned status, std::string_view detail);

/// 404 for what LiteLLM serves and Weir does not: an error as OpenAI's clients show it, with the reason.
PlainAnswer unserved_answer(std::string_view why);

/// 405, with the one method that is `allowed`.
PlainAnswer not_allowed_answer(std::string_view allowed);

/// As LiteLLM answers when asked whether it lives, and whether it is ready: 503 if it is not.
PlainAnswer alive_answer();
PlainAnswer ready_answer(bool ready);

/// For a browser that asks whether it may ask, with `fields`: it may, as in LiteLLM. Keys are asked for
/// all the same, and no cookie is ever looked at.
PlainAnswer preflight_answer(const router::Fields& fields);

/// The page at /metrics.
PlainAnswer metrics_answer(std::string page);

/// The list at /v1/models, and one entry of it.
PlainAnswer models_answer(const std::vector<std::string>& names);
PlainAnswer model_answer(std::string_view name);

/// 404 for an entry that is not there.
PlainAnswer no_model_answer(const std::string& name);

/// Appends the fields of an upstream's answer that are the client's to see. What describes the body
/// keeps its name; the provider's own become llm_provider-<name>, as LiteLLM has it.
void relay_fields(const router::Fields& fields, HeadWriter& head);

}  // namespace weir::proxy
