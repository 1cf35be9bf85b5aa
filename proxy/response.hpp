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
    HeadWriter(std::string& out, unsigned status);
    HeadWriter& field(std::string_view name, std::string_view value);
    HeadWriter& field(std::string_view name, std::uint64_t value);
    /// The same for a name in several parts.
    using Parts = std::initializer_list<std::string_view>;
    HeadWriter& field(Parts name, std::string_view value);
    HeadWriter& field(Parts name, std::uint64_t value);
    /// The empty line.
    void end() { out_ += "\r\n"; }

 private:
    HeadWriter& end_field(std::string_view value);

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
/// rounded up, and `retry-after-ms`; beyond a minute also `x-should-retry: false`, for openai-node
/// would otherwise come back too early.
PlainAnswer to_answer(const router::ApiError& error);

/// {"detail": …}, as LiteLLM answers what it has no route for.
PlainAnswer detail_answer(unsigned status, std::string_view detail);

/// The list at /v1/models, and one entry of it.
PlainAnswer models_answer(const std::vector<std::string>& names);
PlainAnswer model_answer(std::string_view name);

/// Appends the fields of an upstream's answer that are the client's to see. What describes the body
/// keeps its name; the provider's own become llm_provider-<name>, as LiteLLM has it.
void relay_fields(const router::Fields& fields, HeadWriter& head);

}  // namespace weir::proxy
