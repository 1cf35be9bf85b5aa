// The same as request.hpp for bodies of multipart/form-data, as speech and image endpoints take them.
// The upstream gets the form written from what was understood (form_parts.hpp): its content type, the heads
// of its parts and its boundaries are our own, and only the parts' contents are the client's bytes.
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

/// The facts of a form. `form` is what goes upstream, without the fields for the router. A field that decides
/// may be there once only, as in JSON, in lower case, and not as a file. What is meant for the router means
/// what it means in JSON: lists and objects are JSON in a part of their own, or a list has a part "name[]"
/// for each element.
std::variant<RequestFacts, BadRequest> read_form(std::string_view body, std::string_view content_type,
                                                 ModelIn where = ModelIn::body);

/// The form for the upstream, with `model` as its model (not in JSON). `form` must be of this `body`; the
/// result refers to all three.
SplicedBody splice_form(std::string_view body, const FormText& form, std::string_view model);

}  // namespace weir::router
