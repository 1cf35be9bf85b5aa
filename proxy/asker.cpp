#include "proxy/asker.hpp"

#include <fmt/format.h>

#include <array>
#include <boost/asio/co_spawn.hpp>
#include <nlohmann/json.hpp>
#include <utility>

#include "router/exchange.hpp"
#include "router/json_text.hpp"

namespace weir::proxy {
namespace {

using nlohmann::json;
using router::Task;
using router::TransportError;

constexpr int kExitRefused = 1;
constexpr int kExitCannotAsk = 3;

/// A model may take its time.
constexpr shm::Nanos kPatience = std::chrono::minutes(10);

std::string request_text(const Question& question, const router::Url& proxy, const std::string& key) {
    std::string text =
        fmt::format("{} {}{} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-length: {}\r\n",
                    question.method, proxy.path, question.path, router::authority(proxy),
                    question.body.size());
    if (!question.body.empty()) text += "content-type: application/json\r\n";
    if (!key.empty()) text += fmt::format("authorization: Bearer {}\r\n", key);
    return text + "\r\n" + question.body;
}

/// Why there is no whole answer, or empty.
Task<std::string> put(router::Upstream& proxy, const std::string& text, const Say& say,
                      std::optional<unsigned>& status) {
    router::Exchange exchange(proxy);
    const std::array<router::asio::const_buffer, 1> request = {router::asio::buffer(text)};
    TransportError error = co_await exchange.start(request, shm::now() + kPatience, true);
    while (error == TransportError::none) {
        for (const std::string_view piece : exchange.pieces()) say(piece);
        if (exchange.done()) break;
        error = co_await exchange.next(shm::now() + kPatience);
    }
    if (error != TransportError::none) co_return describe(error, exchange.reason());
    status = exchange.status();
    co_return std::string();
}

/// The whole answer as JSON; discarded where it is none. `status` is what ask() returns.
json ask_json(Asker& asker, const Question& question, std::optional<unsigned>& status) {
    std::string body;
    status = asker.ask(question, [&body](std::string_view piece) { body += piece; });
    return json::parse(body, nullptr, false);
}

/// The first model in the proxy's list, or empty.
std::string first_model(const json& list) {
    const auto data = list.is_object() ? list.find("data") : list.end();
    if (!list.is_object() || data == list.end() || !data->is_array() || data->empty()) return {};
    return data->front().is_object() ? data->front().value("id", "") : "";
}

int refused(std::optional<unsigned> status, const Asker& asker, const Say& say) {
    if (!status) {
        say(asker.failure() + "\n");
        return kExitCannotAsk;
    }
    say(fmt::format("status {}\n", *status));
    return kExitRefused;
}

}  // namespace

Asker::Asker(router::Url proxy, std::string key) : proxy_(std::move(proxy)), key_(std::move(key)) {}

std::optional<unsigned> Asker::ask(const Question& question, const Say& say) {
    router::asio::io_context io(1);
    router::Pulse pulse(io);
    std::optional<unsigned> status;
    const std::string text = request_text(question, proxy_, key_);
    {
        router::Upstream proxy(io, pulse, proxy_, {});
        pulse.start();
        const auto end = [&](std::exception_ptr, std::string failure) {
            failure_ = std::move(failure);
            pulse.stop();
        };
        router::asio::co_spawn(io, put(proxy, text, say, status), end);
        io.run();
    }
    return status;
}

std::string Asker::failure() const {
    return fmt::format("no answer from {}://{}: {}", proxy_.tls ? "https" : "http",
                       router::authority(proxy_), failure_);
}

std::optional<router::Url> proxy_url(const Options& options, std::string& error) {
    if (!options.test_url.empty()) return router::parse_url(options.test_url, error);
    router::Url url;
    url.tls = !options.ssl_certfile_path.empty();
    url.port = options.port;
    // Where everything is listened to, it is also listened to here.
    url.host = options.host == "0.0.0.0" ? "127.0.0.1" : options.host == "::" ? "::1" : options.host;
    return url;
}

int show_health(Asker& asker, const Say& say) {
    std::optional<unsigned> status;
    const json answer = ask_json(asker, {"GET", "/health"}, status);
    if (!answer.is_discarded()) say(answer.dump(4) + "\n");
    if (status != 200u) return refused(status, asker, say);
    return answer.is_object() && answer.value("unhealthy_count", 1) == 0 ? 0 : kExitRefused;
}

int show_test(Asker& asker, std::string model, const Say& say) {
    std::optional<unsigned> status;
    if (model.empty()) {
        model = first_model(ask_json(asker, {"GET", "/v1/models"}, status));
        if (status != 200u) return refused(status, asker, say);
        if (model.empty()) {
            say("the proxy lists no model; name one with --model\n");
            return kExitRefused;
        }
    }
    for (const bool stream : {false, true}) {
        say(fmt::format("a chat completion of {}{}:\n", model, stream ? ", streamed" : ""));
        const std::string body = fmt::format(
            R"({{"model":{},"stream":{},"max_tokens":256,)"
            R"("messages":[{{"role":"user","content":"This is a test. Write a short poem."}}]}})",
            router::json_string(model), stream);
        status = asker.ask({"POST", "/v1/chat/completions", body}, say);
        say("\n");
        if (status != 200u) return refused(status, asker, say);
    }
    return 0;
}

}  // namespace weir::proxy
