// What the head of a request says about how it is to be treated, in LiteLLM's fields and one of our own.
//
// Thread safety: pure.
#pragma once

#include <optional>

#include "router/api_error.hpp"
#include "router/fields.hpp"
#include "router/request.hpp"

namespace weir::proxy {

/// Puts what `fields` say into `facts`, before what the body says: x-litellm-timeout and
/// x-litellm-stream-timeout (seconds), x-litellm-num-retries (0 to 100), x-litellm-tags (separated by commas,
/// added to the body's), x-weir-max-wait (seconds up to a day). Returns the 400 for one that says something
/// else.
std::optional<router::ApiError> apply_fields(const router::Fields& fields, router::RequestFacts& facts);

}  // namespace weir::proxy
