// Open to every origin, with credentials, as the Python fake server's middleware (Starlette's
// CORSMiddleware with "*" everywhere) answers browsers.
//
// Thread safety: pure.
#pragma once

#include <string>

#include "fake_server/answer.hpp"
#include "fake_server/request.hpp"

namespace weir::fake_server {

/// Answers a browser's question before the request proper; false when `request` is none.
bool answer_preflight(const Request& request, Answer& answer);

/// Appends the header lines that let a browser read the answer; none without an `origin`.
void append_cors(const Request& request, std::string& headers);

}  // namespace weir::fake_server
