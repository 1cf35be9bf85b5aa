// Questions that the program puts to a proxy that is running.
#include "proxy/asker.hpp"

#include "tests/wire/proxy/proxy_harness.hpp"

using namespace weir::proxy;
using namespace weir::proxy::test;

namespace {

/// Asks the proxy at `port`, and keeps what is shown.
struct Shown {
    explicit Shown(std::uint16_t port, std::string key = "sk-test")
        : asker(at(port), std::move(key)), say([this](std::string_view piece) { text += piece; }) {}
    static weir::router::Url at(std::uint16_t port) {
        Options options;
        options.port = port;
        std::string error;
        return *proxy_url(options, error);
    }
    bool has(const std::string& part) const { return text.find(part) != std::string::npos; }

    Asker asker;
    Say say;
    std::string text;
};

}  // namespace

TEST_CASE("A test asks for a completion and a stream of the first model, and shows both") {
    Upstream upstream;
    Proxy proxy(kConfig, upstream.url());
    Shown shown(proxy.port());
    CHECK(show_test(shown.asker, "", shown.say) == 0);
    CHECK(shown.has(R"("object":"chat.completion")"));
    CHECK(shown.has("data: [DONE]"));
    CHECK(shown.has("a chat completion of gpt, streamed:"));
    CHECK(upstream.arrivals().size() == 2);
}

TEST_CASE("A test that is refused says so, and why") {
    Upstream upstream;
    Proxy proxy(kConfig, upstream.url());
    Shown unknown(proxy.port());
    CHECK(show_test(unknown.asker, "nope", unknown.say) == 1);
    CHECK(unknown.has("model=nope"));
    CHECK(unknown.has("status 400"));
    Shown stranger(proxy.port(), "");
    CHECK(show_test(stranger.asker, "", stranger.say) == 1);
    CHECK(stranger.has("status 401"));
    CHECK(upstream.arrivals().empty());
}

TEST_CASE("The health of the deployments is shown, and the status says whether all are in service") {
    Upstream upstream;
    std::string config = kConfig;  // with a second deployment, for the only one does not cool down
    config.insert(config.find("router_settings"),
                  "  - {model_name: gpt, litellm_params: {model: m, api_base: \"{upstream}\"}}\n");
    Proxy proxy(config, upstream.url());
    Shown good(proxy.port());
    CHECK(show_health(good.asker, good.say) == 0);
    CHECK(Json::parse(good.text)["healthy_count"] == 2);
    upstream.script(R"([{"status":401}])");
    CHECK(proxy.client().post("/v1/chat/completions", kChat, kKey).status == 401);
    Shown bad(proxy.port());
    CHECK(show_health(bad.asker, bad.say) == 1);
    CHECK(bad.has("unhealthy_count"));
    Shown stranger(proxy.port(), "sk-wrong");
    CHECK(show_health(stranger.asker, stranger.say) == 1);
    CHECK(stranger.has("status 401"));
}

TEST_CASE("A proxy that is not there is named, with what is wrong") {
    Shown nobody(1);
    CHECK(show_health(nobody.asker, nobody.say) == 3);
    CHECK(nobody.has("no answer from http://127.0.0.1:1: "));
    CHECK(nobody.has("refused the connection"));
    CHECK(show_test(nobody.asker, "m", nobody.say) == 3);
}

TEST_CASE("Where a proxy listens everywhere it is asked here") {
    Options options;
    std::string error;
    CHECK(proxy_url(options, error)->host == "127.0.0.1");
    CHECK(proxy_url(options, error)->port == 4000);
    options.host = "::";
    options.ssl_certfile_path = "c";
    CHECK(proxy_url(options, error)->host == "::1");
    CHECK(proxy_url(options, error)->tls);
    options.test_url = "http://h:1/base";
    CHECK(proxy_url(options, error)->path == "/base");
    options.test_url = "nonsense";
    CHECK_FALSE(proxy_url(options, error).has_value());
    CHECK_FALSE(error.empty());
}
