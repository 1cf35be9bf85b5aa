// More limits than the segment has room for: those that are idle make way, those in use do not.
#include "tests/wire/proxy/proxy_harness.hpp"

using namespace weir::proxy::test;

namespace {

/// A segment of the smallest size, with a limit for each end user, and a second group.
std::string config_with(const std::string& end_user_limit) {
    std::string text = kConfig;
    const auto replace = [&text](const std::string& what, const std::string& by) {
        text.replace(text.find(what), what.size(), by);
    };
    replace("2097152", "1048576");
    replace("router_settings",
            "  - model_name: rare\n"
            "    litellm_params: {model: openai/rare, api_base: \"{upstream}\", rpm: 5, "
            "max_parallel_requests: 5}\n"
            "router_settings");
    return text + "  keys: [{name: app, key: sk-app, max_parallel_requests: 5}]\n" +
           "  end_user_default: {" + end_user_limit + "}\n";
}

RawAnswer ask_for(RawClient& client, const std::string& model, const std::string& user) {
    return client.post("/v1/chat/completions",
                       R"({"model":")" + model + R"(","user":")" + user + R"(","messages":[]})",
                       "authorization: Bearer sk-app\r\n");
}

/// Asks for one end user after another until one is not answered, and returns that answer.
RawAnswer fill(RawClient& client) {
    for (int i = 0; i < 5000; ++i) {
        RawAnswer answer = ask_for(client, "gpt", "user-" + std::to_string(i));
        if (answer.status != 200) return answer;
    }
    return {};
}

void check_full(const RawAnswer& answer) {
    CHECK(answer.status == 503);
    CHECK(error_message(answer.body) == "No room for another limit; see segment_size.");
    CHECK(Json::parse(answer.body)["error"]["type"] == "overloaded_error");
    CHECK(Json::parse(answer.body)["error"]["code"] == "503");
}

}  // namespace

TEST_CASE("When the segment is full of limits in use, another one is refused and the rest go on") {
    Upstream upstream;
    Proxy proxy(config_with("rpm_limit: 2"), upstream.url());
    RawClient client = proxy.client();
    check_full(fill(client));
    const std::size_t served = upstream.arrivals().size();
    CHECK(served > 200);
    // What was counted before is counted on, and what needs no new limit is served.
    CHECK(ask_for(client, "gpt", "user-0").status == 200);
    CHECK(ask_for(client, "gpt", "user-0").status == 429);
    CHECK(ask_for(client, "gpt", "").status == 200);
    CHECK(client.get("/metrics").body.find("\nweir_directory_full_total 0\n") == std::string::npos);
    // A deployment's own limits were idle and had to make way: they cannot be kept, so it is not asked.
    check_full(ask_for(client, "rare", ""));
    CHECK(upstream.arrivals().size() == served + 2);
}

TEST_CASE("Limits that are idle make way for others, and come back when they are needed") {
    Upstream upstream;
    Proxy proxy(config_with("max_parallel_requests: 1"), upstream.url());
    RawClient client = proxy.client();
    for (int i = 0; i < 300; ++i) {
        REQUIRE(ask_for(client, i % 100 == 0 ? "rare" : "gpt", "user-" + std::to_string(i)).status == 200);
    }
    const std::string page = client.get("/metrics").body;
    CHECK(page.find("\nweir_evictions_total 0\n") == std::string::npos);
    CHECK(page.find("\nweir_evicted_handles_total 0\n") == std::string::npos);
    CHECK(page.find("\nweir_directory_full_total 0\n") != std::string::npos);
}
