#include "fake_server/cors.hpp"

namespace weir::fake_server {
namespace {

void append_line(std::string& headers, std::string_view name, std::string_view value) {
    headers.append(name).append(": ").append(value).append("\r\n");
}

}  // namespace

bool answer_preflight(const Request& request, Answer& answer) {
    const auto origin = request.find("origin");
    if (request.method != "OPTIONS" || !origin || !request.find("access-control-request-method")) {
        return false;
    }
    answer.content_type = "text/plain; charset=utf-8";
    answer.body = "OK";
    append_line(answer.headers, "vary", "Origin");
    append_line(answer.headers, "access-control-allow-methods",
                "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT");
    append_line(answer.headers, "access-control-max-age", "600");
    append_line(answer.headers, "access-control-allow-credentials", "true");
    append_line(answer.headers, "access-control-allow-origin", *origin);
    if (const auto asked = request.find("access-control-request-headers")) {
        append_line(answer.headers, "access-control-allow-headers", *asked);
    }
    return true;
}

void append_cors(const Request& request, std::string& headers) {
    const auto origin = request.find("origin");
    if (!origin) return;
    // A browser refuses "*" for requests that carry cookies.
    const bool cookie = request.find("cookie").has_value();
    append_line(headers, "access-control-allow-origin", cookie ? *origin : "*");
    append_line(headers, "access-control-allow-credentials", "true");
    if (cookie) append_line(headers, "vary", "Origin");
}

}  // namespace weir::fake_server
