#include "fake_server/delivery.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string_view>

namespace weir::fake_server {
namespace {

// How many bytes an answer that lies about its length leaves out.
constexpr std::size_t kMissingBytes = 16;

std::string_view reason(unsigned status) {
    switch (status) {
        case 200:
            return "OK";
        case 201:
            return "Created";
        case 204:
            return "No Content";
        case 400:
            return "Bad Request";
        case 401:
            return "Unauthorized";
        case 403:
            return "Forbidden";
        case 404:
            return "Not Found";
        case 405:
            return "Method Not Allowed";
        case 408:
            return "Request Timeout";
        case 413:
            return "Content Too Large";
        case 429:
            return "Too Many Requests";
        case 500:
            return "Internal Server Error";
        case 502:
            return "Bad Gateway";
        case 503:
            return "Service Unavailable";
        case 504:
            return "Gateway Timeout";
        default:
            return "Status";
    }
}

bool bodyless(unsigned status) {
    return status == 204 || status == 304;
}

bool scripted(const Step& step, std::string_view name) {
    return std::any_of(step.headers.begin(), step.headers.end(),
                       [&](const auto& header) { return same_name(header.first, name); });
}

enum class Framing : std::uint8_t { length, chunked, until_close };

// Renders one answer into one delivery.
class Writer {
 public:
    Writer(const Answer& answer, const Step& step, const Request& request, Delivery& delivery)
        : answer_(answer), step_(step), request_(request), out_(delivery), wire_(delivery.wire) {
        if (answer.stream || step.malformed == Malformed::chunk) {
            framing_ = request.version == 10 ? Framing::until_close : Framing::chunked;
        }
        closes_ = !request.keep_alive || framing_ == Framing::until_close;
        out_.finish = closes_ ? Finish::close : Finish::keep;
    }

    void write() {
        head();
        body_begin_ = wire_.size();
        if (request_.method != "HEAD" && !bodyless(answer_.status)) body();
        spoil();
        cut();
    }

    const std::vector<std::size_t>& events() const { return event_begins_; }

 private:
    void line(std::string_view name, std::string_view value) {
        wire_.append(name).append(": ").append(value).append("\r\n");
    }

    void head() {
        fmt::format_to(std::back_inserter(wire_), "HTTP/1.1 {} {}\r\n", answer_.status,
                       reason(answer_.status));
        if (!scripted(step_, "content-type")) line("content-type", answer_.content_type);
        if (framing_ == Framing::chunked) {
            line("transfer-encoding", "chunked");
        } else if (framing_ == Framing::length && !bodyless(answer_.status) &&
                   !scripted(step_, "content-length")) {
            const bool lies = step_.malformed == Malformed::length;
            fmt::format_to(std::back_inserter(wire_), "content-length: {}\r\n",
                           body_bytes() + (lies ? kMissingBytes : 0));
        }
        line("server", "weir-fake-server");
        wire_ += answer_.headers;
        for (const auto& [name, value] : step_.headers) line(name, value);
        if (closes_) {
            line("connection", "close");
        } else if (request_.version == 10) {
            line("connection", "keep-alive");
        }
        wire_ += "\r\n";
    }

    std::size_t body_bytes() const {
        const std::size_t whole = answer_.body.size();
        return step_.malformed == Malformed::json ? whole / 2 : whole;
    }

    void body() {
        if (framing_ == Framing::length) {
            wire_.append(answer_.body, 0, body_bytes());
            return;
        }
        if (!answer_.stream) piece(answer_.body);
        for (std::size_t i = 0; i < answer_.events.size(); ++i) {
            event_begins_.push_back(wire_.size());
            const bool broken =
                step_.malformed == Malformed::json && i == answer_.events.size() / 2;
            const std::string& event = answer_.events[i];
            piece(broken ? event.substr(0, event.size() / 2) + "\n\n" : event);
            event_ends_.push_back(wire_.size());
        }
        if (framing_ == Framing::chunked) wire_ += "0\r\n\r\n";
    }

    void piece(std::string_view bytes) {
        if (framing_ != Framing::chunked) {
            wire_ += bytes;
        } else if (!bytes.empty()) {  // an empty chunk would be the last one
            fmt::format_to(std::back_inserter(wire_), "{:x}\r\n", bytes.size());
            wire_.append(bytes).append("\r\n");
        }
    }

    void spoil() {
        if (step_.malformed == Malformed::http) wire_.replace(0, 5, "HTTQ/");
        if (step_.malformed == Malformed::chunk && framing_ == Framing::chunked) {
            wire_.resize(wire_.size() - 5);  // without the last chunk
            wire_ += "zz\r\n";
        }
        if (step_.malformed != Malformed::no && step_.malformed != Malformed::json) end_early();
    }

    void cut() {
        std::size_t end = wire_.size();
        if (step_.cut_after_events && *step_.cut_after_events < event_ends_.size()) {
            const std::size_t count = *step_.cut_after_events;
            end = count == 0 ? body_begin_ : event_ends_[count - 1];
        }
        if (step_.cut_after_bytes && *step_.cut_after_bytes < end - std::min(end, body_begin_)) {
            end = body_begin_ + *step_.cut_after_bytes;
        }
        if (end == wire_.size()) return;
        wire_.resize(end);
        end_early();
    }

    void end_early() {
        out_.cut = true;
        out_.finish = step_.reset ? Finish::reset : Finish::close;
    }

    const Answer& answer_;
    const Step& step_;
    const Request& request_;
    Delivery& out_;
    std::string& wire_;
    Framing framing_ = Framing::length;
    bool closes_ = false;
    std::size_t body_begin_ = 0;
    std::vector<std::size_t> event_begins_;
    std::vector<std::size_t> event_ends_;
};

void add_pauses(const Step& step, const Pace& pace, const std::vector<std::size_t>& events,
                Delivery& delivery) {
    const std::int64_t first_ns = pace.latency_ns + step.stall_ns;
    if (first_ns > 0) delivery.pauses.push_back({0, first_ns});
    const std::int64_t event_ns = pace.event_delay_ns + step.event_delay_ns;
    for (std::size_t i = 1; event_ns > 0 && i < events.size(); ++i) {
        if (events[i] < delivery.wire.size()) delivery.pauses.push_back({events[i], event_ns});
    }
    if (step.chunk_bytes == 0) return;
    for (std::size_t at = step.chunk_bytes; at < delivery.wire.size(); at += step.chunk_bytes) {
        delivery.pauses.push_back({at, step.chunk_delay_ns});
    }
    std::stable_sort(delivery.pauses.begin(), delivery.pauses.end(),
                     [](const Pause& a, const Pause& b) { return a.before < b.before; });
}

}  // namespace

void Delivery::clear() {
    wire.clear();
    pauses.clear();
    finish = Finish::keep;
    cut = false;
}

void deliver(const Answer& answer, const Step& step, const Pace& pace, const Request& request,
             Delivery& delivery) {
    delivery.clear();
    if (step.close_before_response) {
        delivery.cut = true;
        delivery.finish = step.reset ? Finish::reset : Finish::close;
        return add_pauses(step, pace, {}, delivery);
    }
    if (step.raw) {
        delivery.wire = *step.raw;
        delivery.finish = request.keep_alive ? Finish::keep : Finish::close;
        add_pauses(step, pace, {}, delivery);
    } else {
        Writer writer(answer, step, request, delivery);
        writer.write();
        add_pauses(step, pace, writer.events(), delivery);
    }
    if (step.close_idle_connection && delivery.finish == Finish::keep) {
        delivery.finish = step.reset ? Finish::reset : Finish::close;
    }
}

}  // namespace weir::fake_server
