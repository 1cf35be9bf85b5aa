// Who may ask, and what: keys, their names for models, and the models that they are confined to.
#include "tests/wire/proxy/proxy_harness.hpp"

using namespace weir::proxy::test;

TEST_CASE("A key may be blocked, expired, confined to models or have names of its own for them") {
    Upstream upstream;
    Proxy proxy(configured("", R"(  keys:
    - {name: blocked, key: sk-blocked, blocked: true}
    - {name: expired, key: sk-expired, expires: 2020-01-01}
    - {name: fresh, key: sk-fresh, expires: 2099-01-01}
    - {name: other, key: sk-other, models: [elsewhere]}
    - {name: alias, key: sk-alias, aliases: {fast: gpt}}
    - {name: hash, key_sha256: c291001835042e213221b2f9fca79c9c91d08813d599b717bc695a268edb2ea6}
)"),
                upstream.url());
    CHECK(error_message(ask(proxy, "sk-blocked").body).find("blocked") != std::string::npos);
    const RawAnswer expired = ask(proxy, "sk-expired");
    CHECK(expired.status == 401);
    CHECK(Json::parse(expired.body)["error"]["type"] == "expired_key");
    CHECK(ask(proxy, "sk-fresh").status == 200);
    CHECK(ask(proxy, "sk-hashed").status == 200);
    const RawAnswer denied = ask(proxy, "sk-other");
    CHECK(denied.status == 403);
    CHECK(Json::parse(denied.body)["error"]["type"] == "key_model_access_denied");
    CHECK(ask(proxy, "sk-alias", R"({"model":"fast","messages":[]})").status == 200);
    CHECK(ask(proxy, "sk-fresh", R"({"model":"fast","messages":[]})").status == 400);
}

TEST_CASE("A request's own fallbacks are confined to the models of its key, too") {
    Upstream upstream;
    const std::string other = R"(
  - model_name: other
    litellm_params: {model: openai/other, api_base: "{upstream}"}
router_settings:)";
    std::string config = configured("", R"(  keys:
    - {name: gpt only, key: sk-gpt, models: [gpt], aliases: {spare: other}}
    - {name: alias, key: sk-alias, models: [gpt, other], aliases: {main: gpt, spare: other}}
)");
    const std::string place = "\nrouter_settings:";
    config.replace(config.find(place), place.size(), other);
    Proxy proxy(config, upstream.url());
    const std::string body =
        R"({"model":"gpt","messages":[],"mock_testing_fallbacks":true,"fallbacks":["other"]})";
    const RawAnswer answered = ask(proxy, "sk-test", body);
    CHECK(answered.status == 200);
    CHECK(answered.field("x-litellm-model-group") == "other");
    CHECK(answered.field("x-litellm-attempted-fallbacks") == "1");
    CHECK(ask(proxy, "sk-gpt", body).status == 403);
    CHECK(upstream.arrivals().size() == 1);

    // A key's own names for models mean there what they mean elsewhere.
    for (const char* fallbacks : {R"(["spare"])", R"([{"main":["spare"]}])", R"([{"gpt":["other"]}])"}) {
        const std::string by_alias =
            R"({"model":"main","messages":[],"mock_testing_fallbacks":true,"fallbacks":)" +
            std::string(fallbacks) + "}";
        CHECK(ask(proxy, "sk-alias", by_alias).field("x-litellm-model-group") == "other");
    }
    const std::string denied =
        R"({"model":"gpt","messages":[],"mock_testing_fallbacks":true,"fallbacks":["spare"]})";
    CHECK(ask(proxy, "sk-gpt", denied).status == 403);
    CHECK(ask(proxy, "sk-test", denied).status == 400);
}

TEST_CASE("Models are listed, described and kept from those without a key") {
    Upstream upstream;
    Proxy proxy(configured(", rpm: 100", ""), upstream.url());
    RawClient client = proxy.client();
    for (const char* target :
         {"/v1/models", "/model/info", "/model_group/info", "/health", "/v1/models/gpt"}) {
        CHECK(client.get(target).status == 401);
        CHECK(client.get(target, kKey).status == 200);
    }
    const Json info = Json::parse(client.get("/v1/model/info", kKey).body)["data"][0];
    CHECK(info["model_name"] == "gpt");
    CHECK(info["litellm_params"]["rpm"] == 100);
    CHECK(info["weir"]["remaining"]["requests"] == 100);
    CHECK(Json::parse(client.get("/models/gpt", kKey).body)["id"] == "gpt");
    CHECK(client.get("/models/none", kKey).status == 404);
    CHECK(Json::parse(client.get("/health/readiness").body)["status"] == "healthy");
    CHECK(client.get("/health/liveness").body == R"("I'm alive!")");
}

TEST_CASE("Each key sees the models that it may ask for, and nothing of the others") {
    Upstream upstream;
    Proxy proxy(R"(
model_list:
  - {model_name: gpt, litellm_params: {model: openai/m, api_base: "{upstream}"}}
  - {model_name: secret, litellm_params: {model: openai/m, api_base: "{upstream}"}}
  - {model_name: "open/*", litellm_params: {model: "openai/*", api_base: "{upstream}"}}
general_settings: {master_key: sk-test}
litellm_settings: {require_auth_for_metrics_endpoint: true}
weir_settings:
  segment: {segment}
  segment_size: 2097152
  keys:
    - {name: some, key: sk-some, models: [gpt, open/one, gone], aliases: {fast: gpt}}
    - {name: renamed, key: sk-renamed, models: [fast], aliases: {fast: gpt}}
    - {name: team, key: sk-team, team: blue}
  teams: [{name: blue, models: [secret]}]
)",
                upstream.url());
    RawClient client = proxy.client();
    const auto get = [&](const std::string& key, const std::string& target) {
        return client.get(target, "authorization: Bearer " + key + "\r\n");
    };
    const auto names = [&](const std::string& key, const char* target, const char* list, const char* name) {
        std::string all;
        const Json answer = Json::parse(get(key, target).body);
        for (const auto& entry : answer[list]) all += entry[name].get<std::string>() + " ";
        return all;
    };
    CHECK(names("sk-test", "/v1/models", "data", "id") == "gpt secret ");
    CHECK(names("sk-some", "/v1/models", "data", "id") == "gpt open/one ");
    CHECK(names("sk-team", "/v1/models", "data", "id") == "secret ");
    CHECK(names("sk-some", "/model/info", "data", "model_name") == "gpt ");
    CHECK(names("sk-team", "/model_group/info", "data", "model_group") == "secret ");
    CHECK(Json::parse(get("sk-team", "/health").body)["healthy_count"] == 1);
    CHECK(get("sk-some", "/v1/models/gpt").status == 200);
    CHECK(get("sk-some", "/v1/models/fast").status == 200);
    CHECK(get("sk-some", "/v1/models/open/one").status == 200);
    CHECK(get("sk-some", "/v1/models/secret").status == 404);
    // What counts is the group that an alias means: one that may not be asked is not described either.
    CHECK(get("sk-renamed", "/v1/models/fast").status == 404);
    CHECK(ask(proxy, "sk-renamed", R"({"model":"fast","messages":[]})").status == 403);
    const RawAnswer denied = ask(proxy, "sk-team");
    CHECK(denied.status == 403);
    CHECK(Json::parse(denied.body)["error"]["type"] == "team_model_access_denied");
    CHECK(upstream.arrivals().empty());
    CHECK(client.get("/metrics").status == 401);
    CHECK(get("sk-some", "/metrics").status == 200);
}
