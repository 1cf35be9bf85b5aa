#include "fake_server/desk.hpp"

#include <fmt/format.h>

#include <charconv>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "fake_server/cors.hpp"

namespace weir::fake_server {
namespace {

std::uint64_t number_or(std::optional<std::string_view> text, std::uint64_t otherwise) {
    std::uint64_t number = 0;
    if (!text) return otherwise;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
    return error == std::errc() && end == text->data() + text->size() ? number : otherwise;
}

// As Go writes durations, which is how OpenAI's headers have them.
std::string duration(std::int64_t ns) {
    const std::int64_t ms = (ns + kNanosPerMilli - 1) / kNanosPerMilli;
    if (ms < 1000) return fmt::format("{}ms", ms);
    if (ms < 60'000) return fmt::format("{}s", static_cast<double>(ms) / 1000);
    return fmt::format("{}m{}s", ms / 60'000, static_cast<double>(ms % 60'000) / 1000);
}

}  // namespace

Desk::Desk(const DeskOptions& options)
    : options_(options),
      window_(options.window),
      ledger_(options.ledger_entries_max),
      dice_(options.seed) {
    answer_question(Route::chat, {}, options_.tokens, {}, answer_);
    ordinary_chat_ = answer_.body;
}

std::uint64_t Desk::handle(Request& request, const Peer& peer, Instant arrived, Instant now,
                           Delivery& delivery) {
    answer_.clear();
    if (answer_preflight(request, answer_)) {
        deliver(answer_, {}, {}, request, delivery);
        return 0;
    }
    append_cors(request, answer_.headers);
    const Routed routed = route(request.path());
    const bool known = routed.route != Route::unknown;
    if (known && allows(routed.allow, request.method)) {
        if (asks_model(routed.route)) {
            return answer_model(request, routed, peer, arrived, delivery);
        }
        answer_own(request, routed.route, now);
    } else if (known) {
        answer_.headers.append("allow: ").append(routed.allow).append("\r\n");
        answer_detail(405, "Method Not Allowed", answer_);
    } else {
        answer_detail(404, "Not Found", answer_);
    }
    deliver(answer_, {}, {}, request, delivery);
    return 0;
}

void Desk::refuse(std::string_view why, Delivery& delivery) {
    Request unread;
    unread.keep_alive = false;
    answer_.clear();
    answer_detail(400, fmt::format("Bad Request: {}", why), answer_);
    deliver(answer_, {}, {}, unread, delivery);
}

std::uint64_t Desk::answer_model(Request& request, const Routed& routed, const Peer& peer,
                                 Instant arrived, Delivery& delivery) {
    reader_.read(request, question_);
    if (question_.model.empty()) question_.model = routed.deployment;
    const Verdict verdict = decide(request, routed, peer, arrived.monotonic_ns);
    const Tokens tokens =
        verdict == Verdict::accepted ? step_.tokens.value_or(options_.tokens) : Tokens{0, 0};
    const std::uint64_t seq =
        ledger_.arrived({.at = arrived,
                         .connection = peer.connection,
                         .remote = peer.remote,
                         .path = request.path(),
                         .model = question_.model,
                         .stream = question_.stream,
                         .verdict = verdict,
                         .status = step_.close_before_response ? 0 : answer_.status,
                         .prompt_tokens = tokens.prompt,
                         .completion_tokens = tokens.completion});
    const Pace pace = verdict == Verdict::refused ? Pace{} : options_.pace;
    deliver(answer_, step_, pace, request, delivery);
    std::swap(last_, request);
    has_last_ = true;
    return seq;
}

Verdict Desk::decide(const Request& request, const Routed& routed, const Peer& peer,
                     std::int64_t now_ns) {
    step_ = {};
    const FixedWindow::Verdict window = window_.admit(peer.remote, now_ns);
    if (options_.ratelimit_headers) append_ratelimit(window);
    if (!window.admitted) {
        answer_detail(429, "Rate Limited!", answer_);
        return Verdict::refused;
    }
    choose_step();
    if (!step_error_.empty()) {
        answer_error(400, "The scripted step is not valid: " + step_error_, "invalid_request_error",
                     answer_);
        return Verdict::failed;
    }
    compose(request, routed.route);
    return answer_.status >= 400 || step_.close_before_response ? Verdict::failed
                                                                : Verdict::accepted;
}

// A step in the request itself comes first and leaves the script as it is.
void Desk::choose_step() {
    step_error_.clear();
    if (!question_.override_step.empty()) {
        using Json = nlohmann::json;
        const Json json = Json::parse(question_.override_step, nullptr, false);
        if (auto step = parse_step(json, step_error_)) step_ = *std::move(step);
        return;
    }
    if (const Step* scripted = script_.next()) {
        step_ = *scripted;
    } else {
        fail_by_chance();
    }
}

void Desk::fail_by_chance() {
    if (options_.error_rate <= 0) return;
    const double roll = static_cast<double>(dice_() >> 11) * 0x1p-53;
    if (roll < options_.error_rate) step_.status = 500;
}

void Desk::compose(const Request& request, Route route) {
    const bool failing = step_.status.value_or(200) >= 400;
    if (step_.echo) {
        answer_.body = describe(request);
    } else if (step_.body) {
        answer_.body = *step_.body;
    } else if (failing) {
        const unsigned status = *step_.status;
        answer_error(status, fmt::format("The fake server was told to answer {}.", status),
                     status == 429 ? "rate_limit_error" : "server_error", answer_);
    } else if (route == Route::chat && !question_.stream && !step_.content && !step_.tokens &&
               !step_.no_usage) {
        answer_.body = ordinary_chat_;
    } else {
        answer_question(route, question_, options_.tokens, step_, answer_);
    }
    if (step_.status) answer_.status = *step_.status;
}

void Desk::append_ratelimit(const FixedWindow::Verdict& verdict) {
    fmt::format_to(std::back_inserter(answer_.headers),
                   "x-ratelimit-limit-requests: {}\r\nx-ratelimit-remaining-requests: {}\r\n"
                   "x-ratelimit-reset-requests: {}\r\n",
                   options_.window.requests_max, verdict.remaining, duration(verdict.reset_ns));
}

void Desk::answer_own(const Request& request, Route route, Instant now) {
    switch (route) {
        case Route::ledger:
            return answer_ledger(request, now);
        case Route::script:
            return answer_script(request);
        case Route::echo:
            answer_.body = describe(request);
            return;
        case Route::health:
            answer_.body = R"({"status":"ok"})";
            return;
        case Route::last:
            if (!has_last_) return answer_detail(404, "No request to a model route yet", answer_);
            answer_.body = describe(last_);
            return;
        default:
            answer_.body = R"({"object":"list","data":[{"id":"gpt-3.5-turbo","object":"model",)"
                           R"("created":1677610602,"owned_by":"openai"}]})";
            return;
    }
}

void Desk::answer_ledger(const Request& request, Instant now) {
    if (request.method == "DELETE") {
        // A judge who starts over wants the window to start over as well only when asked.
        if (request.query("window")) window_.clear();
        answer_.body = fmt::format(R"({{"cleared":{}}})", ledger_.clear());
        return;
    }
    fmt::format_to(std::back_inserter(answer_.body),
                   R"({{"server":"weir-fake-server","version":"{}","rpm":{},"window_seconds":{},)"
                   R"("now_monotonic_ns":{},"now_unix_ns":{},)",
                   WEIR_VERSION, options_.window.requests_max,
                   static_cast<double>(options_.window.window_ns) / kNanosPerSecond,
                   now.monotonic_ns, now.unix_ns);
    ledger_.append_summary(answer_.body);
    if (!request.query("summary")) {
        answer_.body += ',';
        const std::uint64_t all = std::numeric_limits<std::uint64_t>::max();
        ledger_.append_arrivals(answer_.body, number_or(request.query("since"), 0),
                                number_or(request.query("limit"), all));
    }
    answer_.body += '}';
}

void Desk::answer_script(const Request& request) {
    if (request.method == "DELETE") {
        script_.clear();
    } else if (request.method == "POST") {
        std::string error;
        auto program = parse_program(request.body, error);
        if (!program) return answer_error(400, error, "invalid_request_error", answer_);
        script_.load(*std::move(program));
    }
    answer_.body =
        fmt::format(R"({{"remaining":{},"repeat":{}}})", script_.remaining(), script_.repeats());
}

}  // namespace weir::fake_server
