// The one thing the proxy needs of a multipart/form-data body (RFC 7578): where its "model" field is.
//
// Thread safety: pure.
#pragma once

#include <optional>
#include <string_view>

#include "router/request.hpp"

namespace weir::proxy {

/// Whether a content-type says multipart/form-data.
bool is_multipart(std::string_view content_type) noexcept;

/// The bytes of the value of the field "model" in `body`. Empty if there is none, more than one, or
/// the body is malformed up to there.
std::optional<router::ByteRange> find_model_field(std::string_view body, std::string_view content_type);

}  // namespace weir::proxy
