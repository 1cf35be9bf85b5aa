#include "router/api_error.hpp"

#include <fmt/format.h>

#include "router/json_text.hpp"

namespace weir::router {

std::string to_json(const ApiError& error) {
    return fmt::format(R"({{"error":{{"message":{},"type":{},"param":{},"code":"{}"}}}})",
                       json_string(error.message), json_string(error.type),
                       error.param ? json_string(*error.param) : "null", error.status);
}

}  // namespace weir::router
