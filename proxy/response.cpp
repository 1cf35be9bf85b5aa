#include "proxy/response.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/beast/http/status.hpp>

#include "router/request.hpp"

namespace weir::proxy {
namespace {

/// What an answer's body is and how to treat it: meant for the client as it stands.
constexpr std::array<std::string_view, 9> kRelayedAsIs = {
    "content-type",  "content-encoding", "content-disposition", "content-language", "cache-control",
    "retry-after",   "retry-after-ms",   "x-should-retry",      "etag"};

/// What an upstream says about itself and its connection: nothing to the client.
constexpr std::array<std::string_view, 4> kNotRelayed = {"server", "date", "set-cookie", "alt-svc"};

template <std::size_t N>
bool among(const std::array<std::string_view, N>& names, std::string_view name) {
    return std::any_of(names.begin(), names.end(),
                       [name](std::string_view known) { return router::same_name(known, name); });
}

std::string model_json(std::string_view name) {
    return fmt::format(R"({{"id":{},"object":"model","created":1677610602,"owned_by":"openai"}})",
                       router::json_string(name));
}

}  // namespace

HeadWriter::HeadWriter(std::string& out, unsigned status) : out_(out) {
    const auto reason = boost::beast::http::obsolete_reason(boost::beast::http::int_to_status(status));
    const fmt::format_int code(status);
    out_.append("HTTP/1.1 ").append(code.data(), code.size()).append(" ");
    out_.append(reason.data(), reason.size()).append("\r\n");
}

HeadWriter& HeadWriter::field(std::string_view name, std::string_view value) {
    out_.append(name);
    return end_field(value);
}

HeadWriter& HeadWriter::field(std::string_view name, std::uint64_t value) {
    const fmt::format_int text(value);
    return field(name, std::string_view(text.data(), text.size()));
}

HeadWriter& HeadWriter::field(Parts name, std::string_view value) {
    for (const std::string_view part : name) out_.append(part);
    return end_field(value);
}

HeadWriter& HeadWriter::field(Parts name, std::uint64_t value) {
    const fmt::format_int text(value);
    return field(name, std::string_view(text.data(), text.size()));
}

HeadWriter& HeadWriter::end_field(std::string_view value) {
    out_.append(": ").append(value).append("\r\n");
    return *this;
}

PlainAnswer to_answer(const router::ApiError& error) {
    PlainAnswer answer;
    answer.status = error.status;
    answer.body = router::to_json(error);
    if (error.status != 429 || !error.retry_after) return answer;
    const auto ns = error.retry_after->count();
    const auto rounded_up = [ns](std::int64_t unit) { return std::max<std::int64_t>(1, (ns + unit - 1) / unit); };
    answer.fields.emplace_back("retry-after", std::to_string(rounded_up(1'000'000'000)));
    answer.fields.emplace_back("retry-after-ms", std::to_string(rounded_up(1'000'000)));
    if (*error.retry_after > std::chrono::seconds(60)) answer.fields.emplace_back("x-should-retry", "false");
    return answer;
}

PlainAnswer detail_answer(unsigned status, std::string_view detail) {
    PlainAnswer answer;
    answer.status = status;
    answer.body = fmt::format(R"({{"detail":{}}})", router::json_string(detail));
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

void relay_fields(const router::Fields& fields, HeadWriter& head) {
    for (std::size_t i = 0; i < fields.size(); ++i) {
        const router::Field field = fields[i];
        if (among(kRelayedAsIs, field.name)) {
            head.field(field.name, field.value);
        } else if (!among(kNotRelayed, field.name) && !router::is_hop_by_hop(fields, field.name)) {
            head.field({"llm_provider-", field.name}, field.value);
        }
    }
}

}  // namespace weir::proxy
