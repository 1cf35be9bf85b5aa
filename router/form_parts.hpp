// The parts of a multipart/form-data body (RFC 7578), read strictly: what two parsers may read
// differently is refused. What goes upstream is written from what was understood here, so that the
// upstream reads the same parts under the same names.
//
// Accepted: parts whose head has one Content-Disposition with `name` and perhaps `filename`, and
// perhaps one Content-Type; Content-Length and a Content-Transfer-Encoding that changes nothing are
// dropped. Refused: other fields and parameters, all parameters with `*`, bytes before the first
// boundary or behind the last one, the boundary inside a part, control characters in a head, nested
// multiparts, and text in any charset but UTF-8.
//
// Thread safety: pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "router/request.hpp"

namespace weir::router {

/// The most parts that a form may have.
inline constexpr std::size_t kFormPartsMax = 1000;

struct FormPart {
    std::string name;                     ///< printable ASCII without quotes and backslashes
    std::optional<std::string> filename;  ///< UTF-8; quotes and backslashes as %22 and %5C
    std::string_view type;                ///< its Content-Type, or empty
    ByteRange content;                    ///< without the line end that precedes the next boundary
};

/// Why a form is refused: the rest of a sentence that begins with "Invalid form: ".
struct FormError {
    std::string why;
};

/// The boundary that a Content-Type of multipart/form-data names. Parameters other than `boundary`
/// are ignored, but for those with `*`, which are refused. RFC 2046, 5.1.1: 1 to 70 characters.
std::variant<std::string, FormError> read_boundary(std::string_view content_type);

/// The parts of `body` in their order. The views refer to `body`.
std::variant<std::vector<FormPart>, FormError> read_parts(std::string_view body,
                                                          std::string_view boundary);

/// The delimiter and the head of a part, as the upstream gets them, with the empty line at their
/// end.
std::string part_head(std::string_view boundary, const FormPart& part);

/// The Content-Type of a form with this boundary.
std::string form_type(std::string_view boundary);

}  // namespace weir::router
