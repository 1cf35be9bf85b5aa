#include "proxy/access_log.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <iterator>

#include "router/json_text.hpp"

namespace weir::proxy {
namespace {

/// Beyond this much the lines are written at once.
constexpr std::size_t kGatheredMax = 64u << 10;

std::string timestamp(shm::Nanos unix_now) {
    const auto seconds = unix_now.count() / 1'000'000'000;
    return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03d}Z", fmt::gmtime(seconds),
                       unix_now.count() / 1'000'000 % 1000);
}

double milliseconds(shm::Nanos duration) {
    return static_cast<double>(duration.count()) / 1e6;
}

std::string_view or_dash(std::string_view text) {
    return text.empty() ? std::string_view("-") : text;
}

/// A client chooses its target: what would end or colour the line is shown as a question mark.
std::string printable(std::string_view text) {
    std::string out(text.substr(0, 200));
    for (char& c : out) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
    }
    return out;
}

}  // namespace

void AccessLog::add(const Served& served, shm::Nanos unix_now) {
    if (format_ == LogFormat::off) return;
    lines_ +=
        format_ == LogFormat::json ? json_line(served, unix_now) : text_line(served, unix_now);
    lines_ += '\n';
    if (lines_.size() > kGatheredMax) flush();
}

void AccessLog::flush() noexcept {
    std::size_t written = 0;
    while (written < lines_.size()) {
        const auto count = ::write(descriptor_, lines_.data() + written, lines_.size() - written);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) break;  // a full pipe or a closed one: the log must not stop the service
        written += static_cast<std::size_t>(count);
    }
    lines_.clear();
}

std::string text_line(const Served& served, shm::Nanos unix_now) {
    std::string line = fmt::format(
        "{} {} \"{} {}\" {} key={} model={} deployment={} in={} out={} ms={:.2f} "
        "upstream_ms={:.2f}",
        timestamp(unix_now), served.request_id, printable(served.method), printable(served.target),
        served.status, printable(or_dash(served.key)), printable(or_dash(served.model)),
        printable(or_dash(served.deployment)), served.bytes_in, served.bytes_out,
        milliseconds(served.duration), milliseconds(served.upstream));
    if (served.retries) fmt::format_to(std::back_inserter(line), " retries={}", served.retries);
    if (served.fallbacks)
        fmt::format_to(std::back_inserter(line), " fallbacks={}", served.fallbacks);
    if (served.usage) {
        fmt::format_to(std::back_inserter(line), " tokens={}+{}", served.usage->prompt_tokens,
                       served.usage->completion_tokens);
    }
    if (served.refused) line += " refused";
    return line;
}

std::string json_line(const Served& served, shm::Nanos unix_now) {
    using router::json_string;
    std::string line = fmt::format(
        R"({{"time":"{}","request_id":{},"method":{},"target":{},"status":{},"key":{},"model":{},"group":{},)"
        R"("deployment":{},"bytes_in":{},"bytes_out":{},"duration_ms":{:.3f},"upstream_ms":{:.3f},)"
        R"("retries":{},"fallbacks":{},"refused":{})",
        timestamp(unix_now), json_string(served.request_id), json_string(served.method),
        json_string(served.target.substr(0, 200)), served.status, json_string(served.key),
        json_string(served.model), json_string(served.group), json_string(served.deployment),
        served.bytes_in, served.bytes_out, milliseconds(served.duration),
        milliseconds(served.upstream), served.retries, served.fallbacks, served.refused);
    if (served.usage) {
        fmt::format_to(std::back_inserter(line),
                       R"(,"prompt_tokens":{},"completion_tokens":{},"total_tokens":{})",
                       served.usage->prompt_tokens, served.usage->completion_tokens,
                       served.usage->total_tokens);
    }
    return line + "}";
}

}  // namespace weir::proxy
