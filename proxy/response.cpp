#include "proxy/response.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/beast/http/status.hpp>

#include "router/feedback.hpp"
#include "router/json_text.hpp"

namespace weir::proxy {
namespace {

/// What an answer's body is and how to treat it: meant for the client as it stands.
constexpr std::array<std::string_view, 7> kRelayedAsIs = {
    "content-type",  "content-encoding", "content-disposition", "content-language",
    "cache-control", "x-should-retry",   "etag"};

/// The same where they say something that a client can heed.
constexpr std::array<std::string_view, 2> kWaits = {"retry-after", "retry-after-ms"};

/// What an upstream says about itself and its connection: nothing to the client.
constexpr std::array<std::string_view, 4> kNotRelayed = {"server", "date", "set-cookie", "alt-svc"};

/// For a 429 of which nobody can know when it will pass: something in flight must end.
constexpr shm::Nanos kUnknownWait = std::chrono::seconds(1);

/// The longest wait that openai-node heeds.
constexpr shm::Nanos kPatienceOfClients = std::chrono::seconds(60);

/// `wait` in units of `unit`, at least one: a zero would mean "at once".
std::uint64_t rounded_up(shm::Nanos wait, shm::Nanos unit) {
    return static_cast<std::uint64_t>(
        std::max<std::int64_t>(1, (wait + unit - shm::Nanos(1)) / unit));
}

template <std::size_t N>
bool among(const std::array<std::string_view, N>& names, std::string_view name) {
    return std::any_of(names.begin(), names.end(),
                       [name](std::string_view known) { return router::same_name(known, name); });
}

/// Whether an upstream's retry-after or retry-after-ms tells clients to wait: "at once", a negative number or
/// garbage would make them come back too early, each by rules of its own.
bool tells_to_wait(std::string_view value) {
    if (const auto wait = router::parse_seconds(value)) return *wait > shm::Nanos{};
    return router::parse_http_date(value).has_value();
}

std::string model_json(std::string_view name) {
    return fmt::format(R"({{"id":{},"object":"model","created":1677610602,"owned_by":"openai"}})",
                       router::json_string(name));
}

}  // namespace

HeadWriter::HeadWriter(std::string& out, unsigned status) : out_(out) {
    const auto known = boost::beast::http::int_to_status(status);
    const fmt::format_int code(status);
    out_.append("HTTP/1.1 ").append(code.data(), code.size()).append(" ");
    if (known != boost::beast::http::status::unknown) {
        const auto reason = boost::beast::http::obsolete_reason(known);
        out_.append(reason.data(), reason.size());
    }
    out_ += "\r\n";
}

HeadWriter& HeadWriter::field(std::string_view name, std::string_view value) {
    out_.append(name).append(": ").append(value).append("\r\n");
    return *this;
}

HeadWriter& HeadWriter::field(std::string_view name, std::uint64_t value) {
    const fmt::format_int text(value);
    return field(name, std::string_view(text.data(), text.size()));
}

HeadWriter& HeadWriter::field(std::string_view prefix, std::string_view name, std::string_view value) {
    out_.append(prefix);
    return field(name, value);
}

HeadWriter& HeadWriter::line(std::string_view name, std::string_view value) {
    out_.append(name).append(value).append("\r\n");
    return *this;
}

HeadWriter& HeadWriter::line(std::string_view name, std::uint64_t value) {
    const fmt::format_int text(value);
    return line(name, std::string_view(text.data(), text.size()));
}

PlainAnswer to_answer(const router::ApiError& error) {
    PlainAnswer answer;
    answer.status = error.status;
    answer.body = router::to_json(error);
    if (error.status != 429) return answer;
    const shm::Nanos wait = error.retry_after.value_or(kUnknownWait);
    answer.fields.emplace_back("retry-after",
                               std::to_string(rounded_up(wait, std::chrono::seconds(1))));
    answer.fields.emplace_back("retry-after-ms",
                               std::to_string(rounded_up(wait, std::chrono::milliseconds(1))));
    if (wait > kPatienceOfClients) answer.fields.emplace_back("x-should-retry", "false");
    return answer;
}

void append_retry_after(const router::Fields& fields, HeadWriter& head) {
    if (tells_to_wait(fields.get("retry-after")) || tells_to_wait(fields.get("retry-after-ms"))) return;
    head.field("retry-after", rounded_up(kUnknownWait, std::chrono::seconds(1)))
        .field("retry-after-ms", rounded_up(kUnknownWait, std::chrono::milliseconds(1)));
}

PlainAnswer detail_answer(unsigned status, std::string_view detail) {
    PlainAnswer answer;
    answer.status = status;
    answer.body = fmt::format(R"({{"detail":{}}})", router::json_string(detail));
    return answer;
}

PlainAnswer unserved_answer(std::string_view why) {
    return to_answer(
        {404, fmt::format("Weir does not serve this endpoint: {}.", why), "not_found_error", {}, {}});
}

PlainAnswer not_allowed_answer(std::string_view allowed) {
    PlainAnswer answer = detail_answer(405, "Method Not Allowed");
    answer.fields.emplace_back("allow", allowed);
    return answer;
}

PlainAnswer alive_answer() {
    PlainAnswer answer;
    answer.body = R"("I'm alive!")";
    return answer;
}

PlainAnswer ready_answer(bool ready) {
    PlainAnswer answer;
    answer.status = ready ? 200 : 503;
    answer.body = fmt::format(R"({{"status":"{}","db":"Not connected","cache":null}})",
                              ready ? "healthy" : "draining");
    return answer;
}

PlainAnswer preflight_answer(const router::Fields& fields) {
    PlainAnswer answer;
    answer.content_type = "text/plain; charset=utf-8";
    answer.body = "OK";
    answer.fields.emplace_back("access-control-allow-methods",
                               "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT");
    if (const auto wanted = fields.get("access-control-request-headers"); !wanted.empty()) {
        answer.fields.emplace_back("access-control-allow-headers", wanted);
    }
    answer.fields.emplace_back("access-control-max-age", "600");
    return answer;
}

PlainAnswer metrics_answer(std::string page) {
    PlainAnswer answer;
    answer.content_type = "text/plain; version=0.0.4; charset=utf-8";
    answer.body = std::move(page);
    return answer;
}

PlainAnswer models_answer(const std::vector<std::string>& names) {
    PlainAnswer answer;
    answer.body = R"({"data":[)";
    for (const std::string& name : names) {
        if (answer.body.back() == '}') answer.body += ',';
        answer.body += model_json(name);
    }
    answer.body += R"(],"object":"list"})";
    return answer;
}

PlainAnswer model_answer(std::string_view name) {
    PlainAnswer answer;
    answer.body = model_json(name);
    return answer;
}

PlainAnswer no_model_answer(const std::string& name) {
    return to_answer(
        {404, "The model '" + name + "' does not exist.", "invalid_request_error", "model", {}});
}

void relay_fields(const router::Fields& fields, HeadWriter& head) {
    for (std::size_t i = 0; i < fields.size(); ++i) {
        const router::Field field = fields[i];
        if (among(kRelayedAsIs, field.name)) {
            head.field(field.name, field.value);
        } else if (among(kWaits, field.name)) {
            if (tells_to_wait(field.value)) head.field(field.name, field.value);
        } else if (!among(kNotRelayed, field.name) && !router::is_hop_by_hop(fields, field.name)) {
            head.field("llm_provider-", field.name, field.value);
        }
    }
}

}  // namespace weir::proxy
