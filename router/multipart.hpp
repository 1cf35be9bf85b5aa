// The same as request.hpp for bodies of multipart/form-data, as speech and image endpoints take
// them: the model is found in its part, and another name is put in its place; every other byte
// passes.
//
// Thread safety: pure.
#pragma once

#include <string_view>
#include <variant>

#include "router/request.hpp"
#include "router/spliced_body.hpp"

namespace weir::router {

/// Whether a Content-Type says multipart/form-data.
bool is_form(std::string_view content_type) noexcept;

/// The facts of a form. `model_value` is the bare content of the model's part, and own_fields are
/// whole parts. A field that decides may be there once only, as in JSON; a part without a name is
/// refused. What is meant for the router means what it means in JSON: lists and objects are JSON in a
/// part of their own, or a list has a part "name[]" for each element.
std::variant<RequestFacts, BadRequest> read_form(std::string_view body,
                                                 std::string_view content_type,
                                                 ModelIn where = ModelIn::body);

/// The form for the upstream, with `model` as its model (not in JSON) and without own_fields.
/// `facts` must be of this `body` and `content_type`.
SplicedBody splice_form(std::string_view body, const RequestFacts& facts,
                        std::string_view content_type, std::string_view model) noexcept;

}  // namespace weir::router
