// How much may be asked: limits over real sockets, and what answers and metrics say of them.
#include <chrono>
#include <vector>

#include "tests/support/program.hpp"
#include "tests/support/scratch.hpp"
#include "tests/wire/proxy/proxy_harness.hpp"

using namespace weir::proxy::test;

namespace {

/// The id that the only deployment has by default.
std::string model_id(Proxy& proxy) {
    const RawAnswer info = proxy.client().get("/model/info", kKey);
    return Json::parse(info.body)["data"][0]["model_info"]["id"];
}

/// What every refusal by a limit must have.
void check_refusal(const RawAnswer& answer, const std::string& scope) {
    CHECK(answer.status == 429);
    CHECK(error_message(answer.body).find(scope) != std::string::npos);
    CHECK(Json::parse(answer.body)["error"]["type"] == "throttling_error");
    REQUIRE(answer.has("retry-after"));
    REQUIRE(answer.has("retry-after-ms"));
    const long seconds = std::stol(answer.field("retry-after"));
    const long ms = std::stol(answer.field("retry-after-ms"));
    CHECK(seconds >= 1);
    CHECK(ms >= 1);
    CHECK(seconds == (ms + 999) / 1000);
    CHECK(answer.has("x-should-retry") == (ms > 60000));
}

}  // namespace

TEST_CASE("A deployment's limit holds, and answers say what is left of it") {
    Upstream upstream;
    Proxy proxy(configured(", rpm: 3, tpm: 100000", ""), upstream.url());
    for (int left = 2; left >= 0; --left) {
        const RawAnswer answer = ask(proxy, "sk-test");
        REQUIRE(answer.status == 200);
        CHECK(answer.field("x-ratelimit-limit-requests") == "3");
        CHECK(answer.field("x-ratelimit-remaining-requests") == std::to_string(left));
        CHECK(answer.field("x-ratelimit-limit-tokens") == "100000");
        CHECK(answer.has("x-ratelimit-reset-requests"));
        CHECK(answer.field("x-litellm-model-group") == "gpt");
        CHECK(answer.field("x-litellm-model-api-base") == upstream.url());
        CHECK(answer.field("x-litellm-attempted-retries") == "0");
    }
    check_refusal(ask(proxy, "sk-test"), "deployment");
    CHECK(upstream.arrivals().size() == 3);
}

TEST_CASE("Every scope refuses under its own name, and a refused request is counted by none") {
    Upstream upstream;
    const auto [limits, scope] = GENERATE(table<std::string, std::string>({
        {"rpm_limit: 2", "api_key 'app'"},
        {"user: ann", "user 'ann'"},
        {"team: blue", "team 'blue'"},
        {"model_rpm_limit: {gpt: 2}", "model_per_api_key 'app/gpt'"},
        {"end_user: {rpm_limit: 2}", "end_user 'app/eve'"},
        {"rpd_limit: 2", "api_key 'app'"},
    }));
    Proxy proxy(configured(", rpm: 5", "  keys: [{name: app, key: sk-app, " + limits + "}]\n" +
                                           "  users: [{name: ann, rpm_limit: 2}]\n"
                                           "  teams: [{name: blue, rpm_limit: 2}]\n"),
                upstream.url());
    const std::string body = R"({"model":"gpt","user":"eve","messages":[]})";
    CHECK(ask(proxy, "sk-app", body).status == 200);
    CHECK(ask(proxy, "sk-app", body).status == 200);
    for (int i = 0; i < 3; ++i) check_refusal(ask(proxy, "sk-app", body), scope);
    // The three have cost the deployment nothing, and another key has its three requests left.
    for (int i = 0; i < 3; ++i) CHECK(ask(proxy, "sk-test").status == 200);
    check_refusal(ask(proxy, "sk-test"), "deployment");
}

TEST_CASE("Tokens are reserved, settled by usage, and refused by scope") {
    Upstream upstream;
    Proxy proxy(configured("", "  keys: [{name: app, key: sk-app, tpm_limit: 100}]\n"),
                upstream.url());
    upstream.script(R"([{"tokens":[10,20]}])");
    const std::string body =
        R"({"model":"gpt","max_tokens":30,"messages":[{"role":"user","content":"hi"}]})";
    const RawAnswer first = ask(proxy, "sk-app", body);
    CHECK(first.status == 200);
    CHECK(first.field("x-ratelimit-api_key-limit-tokens") == "100");
    upstream.script(R"([{"tokens":[1,1]}])");
    CHECK(ask(proxy, "sk-app", body).status == 200);  // 30 are used, and 30 and some reserved
    const RawAnswer refused =
        ask(proxy, "sk-app", R"({"model":"gpt","max_tokens":80,"messages":[]})");
    check_refusal(refused, "api_key 'app' allows 100 tokens");
    CHECK(refused.field("x-ratelimit-api_key-remaining-tokens") == "68");  // and 2
    const RawAnswer never =
        ask(proxy, "sk-app", R"({"model":"gpt","max_tokens":200,"messages":[]})");
    CHECK(never.status == 400);
    CHECK(error_message(never.body).find("never") != std::string::npos);
}

TEST_CASE("A request that waits is answered when the window comes back, and its limit holds") {
    Upstream upstream;
    constexpr auto kWindow = std::chrono::milliseconds(400);
    struct Way {
        std::string target, body, fields;
    };
    const std::string patient = R"({"model":"gpt","max_wait_seconds":15,"messages":[]})";
    const Way way = GENERATE_COPY(values<Way>({
        {"/queue/chat/completions", kChat, ""},
        {"/v1/chat/completions", patient, ""},
        {"/v1/chat/completions", kChat, "x-weir-max-wait: 15\r\n"},
    }));
    CAPTURE(way.target, way.body, way.fields);
    Proxy proxy(configured(", rpm: 1", "  window_seconds: 0.4\n"), upstream.url());
    const auto began = std::chrono::steady_clock::now();
    std::vector<RawClient> clients;
    for (int i = 0; i < 3; ++i) {
        clients.push_back(proxy.client());
        clients.back().ask("POST", way.target, way.body, kKey + way.fields);
    }
    for (RawClient& client : clients) CHECK(client.answer().status == 200);
    // None can have been admitted before the first was sent, and then one in each window.
    CHECK(std::chrono::steady_clock::now() - began >= 2 * kWindow);
    CHECK(upstream.arrivals().size() == 3);
    const std::string at_once = kKey + std::string("x-weir-max-wait: 0\r\n");
    const RawAnswer hasty = proxy.client().post(way.target, kChat, at_once);
    const RawAnswer hasty_body =
        proxy.client().post(way.target, R"({"model":"gpt","max_wait_seconds":0,"messages":[]})", kKey);
    if (std::chrono::steady_clock::now() - began < 3 * kWindow) {
        CHECK(hasty.status == 429);
        CHECK(hasty_body.status == 429);
    }
}

TEST_CASE("Requests in flight are limited by every scope, named, and freed when a client leaves") {
    Upstream upstream;
    struct Way {
        std::string key, user, team, end_user, deployment, general;  // what each may have in flight
        std::string said;
    };
    const std::string one = "max_parallel_requests: 1";
    const Way way = GENERATE_COPY(values<Way>({
        {", " + one, "", "", "", "", "", "api_key 'app' allows 1"},
        {"", ", " + one, "", "", "", "", "user 'ann' allows 1"},
        {"", "", ", " + one, "", "", "", "team 'blue' allows 1"},
        {"", "", "", ", end_user: {" + one + "}", "", "", "end_user 'app/eve' allows 1"},
        {"", "", "", "", ", " + one, "", "allows 1"},
        {"", "", "", "", "", ", global_" + one, "global 'requests' allows 1"},
    }));
    std::string config = configured(
        way.deployment, "  keys: [{name: app, key: sk-app, user: ann, team: blue" + way.key + way.end_user +
                            "}]\n  users: [{name: ann" + way.user + "}]\n  teams: [{name: blue" + way.team +
                            "}]\n  clients: {half_closed_timeout_seconds: 0.05}\n");
    config.replace(config.find("sk-test}"), 7, "sk-test" + way.general);
    Proxy proxy(config, upstream.url());
    const std::string body = R"({"model":"gpt","user":"eve","messages":[]})";
    upstream.script(R"([{"stall_ms":60000}])");
    RawClient busy = proxy.client();
    busy.ask("POST", "/v1/chat/completions", body, bearer("sk-app"));
    REQUIRE(wait_until([&] { return !upstream.arrivals().empty(); }));
    const std::string deployment = way.deployment.empty() ? "" : "deployment '" + model_id(proxy) + "' ";
    check_refusal(ask(proxy, "sk-app", body), "too many requests in flight: " + deployment + way.said);
    busy.leave();
    CHECK(wait_until([&] { return ask(proxy, "sk-app", body).status == 200; }));
}

TEST_CASE("A changed limit is obeyed at once and keeps what is counted") {
    Upstream upstream;
    const auto with = [](int rpm) {
        return configured(
            "", "  keys: [{name: app, key: sk-app, rpm_limit: " + std::to_string(rpm) + "}]\n");
    };
    Proxy proxy(with(2), upstream.url());
    RawClient client = proxy.client();
    const auto status = [&] {
        return client.post("/v1/chat/completions", kChat, bearer("sk-app")).status;
    };
    CHECK(status() == 200);
    CHECK(status() == 200);
    CHECK(status() == 429);
    proxy.reload(with(3), upstream.url());
    CHECK(status() == 200);
    CHECK(status() == 429);
    proxy.reload(with(1), upstream.url());
    CHECK(status() == 429);
    proxy.reload(kConfig, upstream.url());
    CHECK(status() == 401);
}

TEST_CASE("No key and no prompt gets into the log, the metrics or the information about models") {
    Upstream upstream;
    Proxy proxy(
        configured(", rpm: 100", "  keys: [{name: app, key: sk-secret-app, rpm_limit: 50}]\n"),
        upstream.url());
    ask(proxy, "sk-secret-app",
        R"({"model":"gpt","messages":[{"role":"user","content":"my-prompt"}]})");
    ask(proxy, "sk-secret-wrong");
    RawClient client = proxy.client();
    std::string all = client.get("/metrics").body;
    CHECK(all.find(R"(api_key_alias="app")") != std::string::npos);
    for (const char* target :
         {"/model/info", "/v1/model/info", "/model_group/info", "/health", "/v1/models"}) {
        const RawAnswer answer = client.get(target, bearer("sk-secret-app"));
        CHECK(answer.status == 200);
        all += answer.head + answer.body;
    }
    const std::string log = proxy.log();
    CHECK(log.find(R"("key":"app")") != std::string::npos);
    all += log;
    CHECK(all.find("secret") == std::string::npos);
    CHECK(all.find("sk-") == std::string::npos);
    CHECK(all.find("my-prompt") == std::string::npos);
    CHECK(all.find("chatcmpl") == std::string::npos);
}

TEST_CASE("A group is described by the sums and the largest of its deployments") {
    Upstream upstream;
    Proxy proxy(R"(
model_list:
  - model_name: gpt
    litellm_params: {model: openai/m, api_base: "{upstream}", rpm: 10, tpm: 1000, output_cost_per_token: 0.5}
    model_info: {mode: chat, max_input_tokens: 100, note: mine}
  - model_name: gpt
    litellm_params: {model: azure/m, api_base: "{upstream}", rpm: 5}
    model_info: {max_input_tokens: 300, max_output_tokens: 7}
  - {model_name: bare, litellm_params: {model: openai/m, api_base: "{upstream}"}}
general_settings: {master_key: sk-test}
weir_settings: {segment: {segment}, segment_size: 2097152}
)",
                upstream.url());
    const Json data = Json::parse(proxy.client().get("/model_group/info", kKey).body)["data"];
    REQUIRE(data.size() == 2);
    CHECK(data[0]["model_group"] == "bare");
    CHECK(data[0]["rpm"].is_null());
    CHECK(data[0]["mode"].is_null());
    CHECK(data[1]["providers"] == Json::array({"openai", "azure"}));
    CHECK(data[1]["rpm"] == 15);
    CHECK(data[1]["tpm"] == 1000);
    CHECK(data[1]["max_input_tokens"] == 300);
    CHECK(data[1]["max_output_tokens"] == 7);
    CHECK(data[1]["output_cost_per_token"] == 0.5);
    CHECK(data[1]["mode"] == "chat");
}

TEST_CASE("Who names a deployment is under what holds for its group") {
    Upstream upstream;
    Proxy proxy(R"(
model_list:
  - model_name: secret
    litellm_params: {model: openai/m, api_base: "{upstream}"}
    model_info: {id: gpt-by-id}
general_settings: {master_key: sk-test}
weir_settings:
  segment: {segment}
  segment_size: 2097152
  keys:
    - {name: some, key: sk-some, models: ["gpt*"]}
    - {name: few, key: sk-few, models: [secret], model_rpm_limit: {secret: 1}}
)",
                upstream.url());
    const std::string body = R"({"model":"gpt-by-id","messages":[]})";
    CHECK(ask(proxy, "sk-some", body).status == 403);
    CHECK(ask(proxy, "sk-few", body).status == 200);
    check_refusal(ask(proxy, "sk-few", body), "model_per_api_key");
}

TEST_CASE("A header field may name the end user, and one may be asked for") {
    Upstream upstream;
    Proxy proxy(R"(
model_list:
  - {model_name: gpt, litellm_params: {model: openai/m, api_base: "{upstream}"}}
general_settings: {master_key: sk-test, user_header_name: X-Our-User, enforce_user_param: true}
weir_settings:
  segment: {segment}
  segment_size: 2097152
  end_user_default: {rpm_limit: 1}
)",
                upstream.url());
    RawClient client = proxy.client();
    const auto post = [&](const std::string& lines, const char* body) {
        return client.post("/v1/chat/completions", body, kKey + lines).status;
    };
    constexpr const char* kByAnn = R"({"model":"gpt","user":"ann","messages":[]})";
    const RawAnswer nobody = client.post("/v1/chat/completions", kChat, kKey);
    CHECK(nobody.status == 400);
    CHECK(Json::parse(nobody.body)["error"]["param"] == "user");
    CHECK(post("", kByAnn) == 200);
    CHECK(post("", kByAnn) == 429);
    CHECK(post("x-our-user: bob\r\n", kByAnn) == 200);
    CHECK(post("x-our-user: bob\r\n", kChat) == 429);
}

TEST_CASE("The name of a request goes in, on and out") {
    Upstream upstream;
    Proxy proxy(kConfig, upstream.url());
    RawClient client = proxy.client();
    const RawAnswer given =
        client.post("/v1/chat/completions", kChat, std::string(kKey) + "x-request-id: mine-1\r\n");
    CHECK(given.field("x-request-id") == "mine-1");
    CHECK(given.field("x-litellm-call-id") == "mine-1");
    CHECK(upstream.last().dump().find("mine-1") != std::string::npos);
    CHECK(proxy.log().find("mine-1") != std::string::npos);
    const std::string own = client.get("/nowhere").field("x-request-id");
    CHECK(own.size() == 36);
    CHECK(client.get("/nowhere").field("x-request-id") != own);
}

TEST_CASE("Metrics count what was served, refused and used") {
    Upstream upstream;
    Proxy proxy(configured(", rpm: 2", ""), upstream.url());
    for (int i = 0; i < 3; ++i) ask(proxy, "sk-test");
    ask(proxy, "sk-test", R"({"model":"an-invention","messages":[]})");
    const RawAnswer answer = proxy.client().get("/metrics");
    CHECK(answer.field("content-type").rfind("text/plain; version=0.0.4", 0) == 0);
    const auto has = [&](const std::string& line) {
        CAPTURE(line);
        CHECK(answer.body.find("\n" + line + "\n") != std::string::npos);
    };
    has(R"(litellm_proxy_total_requests_metric_total{requested_model="gpt",)"
        R"(api_key_alias="master key",status_code="200"} 2)");
    has(R"(litellm_proxy_failed_requests_metric_total{requested_model="gpt",)"
        R"(api_key_alias="master key",status_code="429"} 1)");
    has(R"(litellm_total_tokens_metric_total{model="gpt"} 42)");
    has(R"(weir_refused_requests_total{requested_model="gpt"} 1)");
    has(R"(litellm_request_total_latency_metric_count{model="gpt"} 3)");
    CHECK(answer.body.find("an-invention") == std::string::npos);
    const std::string labels = R"({model_id=")" + model_id(proxy) +
                               R"(",model_group="gpt",litellm_model_name="upstream-gpt",)" +
                               R"(api_provider="openai",api_base=")" + upstream.url() + R"("})";
    has("litellm_deployment_state" + labels + " 0");
    has("litellm_remaining_requests_metric" + labels + " 0");
    CHECK(answer.body.find("\nlitellm_remaining_tokens_metric{") == std::string::npos);

    // The page says what each is, and so does the document.
    const std::string document = weir::test::read_file(weir::test::source_path("docs/metrics.md"));
    std::size_t described = 0;
    for (std::size_t at = 0; (at = answer.body.find("# HELP ", at)) != std::string::npos;
         ++described) {
        at += 7;
        const std::string name = answer.body.substr(at, answer.body.find(' ', at) - at);
        CAPTURE(name);
        CHECK(document.find("`" + name + "`") != std::string::npos);
    }
    CHECK(described > 20);
}

TEST_CASE("What only counts is no limit, neither in an answer's fields nor on the page of metrics") {
    Upstream upstream;
    std::string config = configured(", rpm: 50", R"(  keys: [{name: app, key: sk-app, priority: prod}]
litellm_settings: {priority_reservation: {prod: 0.5}}
)");
    const std::string place = "{num_retries: 0";
    config.insert(config.find(place) + place.size(), ", routing_strategy: usage-based-routing-v2");
    Proxy proxy(config, upstream.url());
    RawClient client = proxy.client();
    client.ask("POST", "/v1/chat/completions", kChat, bearer("sk-app"));
    const std::string head = client.read_until("\r\n\r\n");
    CHECK(head.find("x-ratelimit-limit-requests: 50\r\n") != std::string::npos);
    std::size_t fields = 0;
    for (std::size_t at = 0; (at = head.find("\r\nx-ratelimit-", at)) != std::string::npos; ++at) ++fields;
    CHECK(fields == 3);  // limit, remaining and reset of the one limit that there is
    RawClient other = proxy.client();
    const std::string page = other.get("/metrics").body;
    std::size_t limits = 0;
    for (std::size_t at = 0; (at = page.find("\nweir_limit_units{", at)) != std::string::npos; ++at) ++limits;
    CHECK(limits == 1);
    CHECK(page.find("weir_limit_units{scope=\"deployment\"") != std::string::npos);
    CHECK(page.find("weir_limit_remaining_units{scope=\"tally\"") == std::string::npos);
    CHECK(page.find("weir_limit_used_units{scope=\"tally\"") != std::string::npos);
    const Json info = Json::parse(other.get("/model/info", kKey).body)["data"][0];
    CHECK(info["weir"]["remaining"].size() == 1);
    CHECK(info["weir"]["remaining"].contains("requests"));
}
