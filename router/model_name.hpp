// What the name of a model may be, wherever a client writes it: in a body, in a path, in a form.
//
// Thread safety: pure.
#pragma once

#include <string_view>

namespace weir::router {

/// Whether `text` has a control character: C0, DEL or, in UTF-8, C1 (U+0080 to U+009F). In a name
/// such a character forges lines of heads, forms, logs and terminals.
bool has_control(std::string_view text) noexcept;

}  // namespace weir::router
