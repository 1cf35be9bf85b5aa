// The requests that are sent: one chat completion each, no two alike.
//
// Thread safety: pure, but for the state of the random engine.
#pragma once

#include <random>
#include <string>
#include <string_view>

namespace weir::loadtest {

/// A random UUID (RFC 4122, version 4), in lower case.
std::string make_uuid(std::mt19937_64& random);

/// {"model": …, "messages": [{"role": "user", "content": "This is a test: <uuid>"}]}
std::string make_question(std::string_view model, std::mt19937_64& random);

}  // namespace weir::loadtest
