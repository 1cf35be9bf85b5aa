// An error as OpenAI's clients understand it, as data: whoever answers turns it into bytes.
#pragma once

#include <optional>
#include <string>

#include "shm/clock.hpp"

namespace weir::router {

struct ApiError {
    unsigned status = 500;                  ///< HTTP
    std::string message;                    ///< for people; names what and where
    std::string type;                       ///< "invalid_request_error", "throttling_error" …
    std::optional<std::string> param;       ///< the field at fault
    std::optional<shm::Nanos> retry_after;  ///< from now; when the very same request would pass
};

/// The body {"error":{"message","type","param","code"}}; `code` is the status as a string.
std::string to_json(const ApiError& error);

}  // namespace weir::router
