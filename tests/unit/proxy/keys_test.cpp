#include "proxy/keys.hpp"

#include <catch2/catch.hpp>

#include "tests/unit/router/config_text.hpp"
#include "tests/unit/shm/scratch_segment.hpp"

using namespace weir::proxy;
namespace router = weir::router;
namespace shm = weir::shm;

namespace {

struct Fixture {
    explicit Fixture(const std::string& weir,
                     const std::string& general = "{master_key: sk-master}")
        : config(parse(weir, general)),
          segment(shm::Segment::open(name.options(4u << 20))),
          keys(config, segment) {}

    static router::RouterConfig parse(const std::string& weir, const std::string& general) {
        const auto loaded =
            router::parse_config(router::test::kMinimal + "general_settings: " + general +
                                 "\nweir_settings: {" + weir + "}\n");
        for (const auto& problem : loaded.problems)
            UNSCOPED_INFO(router::to_string(problem, "config"));
        REQUIRE(loaded.ok());
        return loaded.config;
    }

    std::variant<const Identity*, router::ApiError> ask(const std::string& field,
                                                        const std::string& value) const {
        router::Fields fields;
        fields.add(field, value);
        return keys.identify(fields, last, [] { return shm::Nanos(std::chrono::seconds(1'700'000'000)); });
    }
    std::string name_of(const std::string& field, const std::string& value) const {
        const auto found = ask(field, value);
        const auto* identity = std::get_if<const Identity*>(&found);
        return identity ? (*identity)->name : std::get<router::ApiError>(found).type;
    }
    const Identity& identity(const std::string& key) const {
        return *std::get<const Identity*>(ask("authorization", "Bearer " + key));
    }
    /// Why `key` may not ask for `model`, as "type: message"; empty if it may.
    std::string denied(const std::string& key, const AskedModel& model,
                       const std::string& end_user = {}) const {
        const auto error = keys.check_model(identity(key), model, end_user);
        return error ? error->type + ": " + error->message : "";
    }
    std::vector<std::string> scopes(const std::string& key, const std::string& user) {
        const auto found = ask("authorization", "Bearer " + key);
        CallerScopes out;
        keys.scopes_for(*std::get<const Identity*>(found), "a", user, out);
        std::vector<std::string> names;
        for (const router::Scope* scope : out.windows)
            names.push_back(scope->kind + " " + scope->name);
        holds = out.holds.size();
        return names;
    }

    shm::test::ScratchName name;
    router::RouterConfig config;
    shm::Segment segment;
    Keys keys;
    mutable LastDigest last;  // whoever asks next may present another key
    std::size_t holds = 0;
};

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("a key is known by any of the fields that clients send it in") {
    const Fixture f("keys: [{name: app, key: sk-app}]");
    CHECK(f.name_of("authorization", "Bearer sk-master") == "master key");
    CHECK(f.name_of("Authorization", "bearer sk-app") == "app");
    CHECK(f.name_of("api-key", "sk-app") == "app");
    for (const char* field :
         {"x-api-key", "x-goog-api-key", "Ocp-Apim-Subscription-Key", "x-litellm-api-key"}) {
        CAPTURE(field);
        CHECK(f.name_of(field, "sk-app") == "app");
    }
    CHECK(f.name_of("x-litellm-api-key", "Bearer sk-app") == "app");
    CHECK(f.name_of("authorization", "Bearer sk-app ") == "token_not_found_in_db");
    CHECK(f.name_of("authorization", "Bearer sk-ap") == "token_not_found_in_db");
    CHECK(f.name_of("authorization", "Bearer ") == "auth_error");
    CHECK(f.name_of("authorization", "Basic sk-app") == "auth_error");
    CHECK(f.name_of("x-other", "sk-app") == "auth_error");
    const auto error = std::get<router::ApiError>(f.ask("authorization", "Bearer sk-wrong"));
    CHECK(error.status == 401);
    CHECK(error.message.find("sk-") == std::string::npos);
}

TEST_CASE("a field that is for keys alone goes before authorization, which may be meant for others") {
    const Fixture f("keys: [{name: app, key: sk-app}]",
                    "{master_key: sk-master, litellm_key_header_name: X-Our-Key}");
    CHECK(f.name_of("x-our-key", "Bearer sk-app") == "app");
    CHECK(f.name_of("authorization", "Bearer sk-app") == "app");
    const auto both = [&](const std::string& field) {
        router::Fields fields;
        fields.add("authorization", "Basic of-a-gateway");
        fields.add("x-litellm-api-key", "sk-master");
        if (!field.empty()) fields.add(field, "sk-app");
        const auto found = f.keys.identify(fields, f.last, [] { return shm::Nanos(0); });
        return std::get<const Identity*>(found)->name;
    };
    CHECK(both("") == "master key");
    CHECK(both("X-OUR-KEY") == "app");
}

TEST_CASE("without keys everybody may ask") {
    const Fixture f("", "{}");
    CHECK(f.name_of("x-other", "") == "anonymous");
    CHECK(f.name_of("authorization", "Bearer whatever") == "anonymous");
}

TEST_CASE("keys by their SHA-256, in either case of its digits") {
    const Fixture f(
        "keys: [{name: app, key_sha256: "
        "C291001835042E213221B2F9FCA79C9C91D08813D599B717BC695A268EDB2EA6}]");
    CHECK(f.name_of("api-key", "sk-hashed") == "app");
    CHECK(
        f.name_of("api-key", "c291001835042e213221b2f9fca79c9c91d08813d599b717bc695a268edb2ea6") ==
        "token_not_found_in_db");
}

TEST_CASE("a request counts under all the limits that concern it") {
    Fixture f(
        R"(keys: [{name: app, key: sk-app, rpm_limit: 1, tpm_limit: 2, rpd_limit: 3, tpd_limit: 4,
                         max_parallel_requests: 5, model_rpm_limit: {a: 6, b: 7}, model_tpm_limit: {a: 8},
                         user: ann, team: blue},
                        {name: bare, key: sk-bare, user: nobody},
                        {name: shop, key: sk-shop, end_user: {tpm_limit: 9}}],
                 users: [{name: ann, rpm_limit: 10, max_parallel_requests: 11}],
                 teams: [{name: blue, tpm_limit: 12}],
                 end_users: [{name: eve, rpm_limit: 13}], end_user_default: {rpm_limit: 14})",
        "{master_key: sk-master, global_max_parallel_requests: 15}");
    CHECK(f.scopes("sk-app", "") == Names{"api_key app", "api_key app", "api_key app",
                                          "api_key app", "model_per_api_key app/a",
                                          "model_per_api_key app/a", "user ann", "team blue"});
    CHECK(f.holds == 3);
    CHECK(f.scopes("sk-bare", "") == Names{});
    CHECK(f.holds == 1);
    CHECK(f.scopes("sk-bare", "someone") == Names{"end_user someone"});
    CHECK(f.scopes("sk-bare", "eve") == Names{"end_user eve"});
    CHECK(f.scopes("sk-shop", "someone") == Names{"end_user shop/someone"});
    CHECK(f.scopes("sk-shop", "eve") == Names{"end_user eve"});
    CHECK(f.scopes("sk-master", "") == Names{});
}

TEST_CASE("the owners of several keys have one limit together") {
    Fixture f(
        "keys: [{name: a, key: sk-a, team: blue}, {name: b, key: sk-b, team: blue}],"
        " teams: [{name: blue, rpm_limit: 3}]");
    CallerScopes first;
    CallerScopes second;
    f.keys.scopes_for(*std::get<const Identity*>(f.ask("api-key", "sk-a")), "a", "", first);
    f.keys.scopes_for(*std::get<const Identity*>(f.ask("api-key", "sk-b")), "a", "", second);
    REQUIRE(first.windows.size() == 1);
    CHECK(first.windows == second.windows);
}

TEST_CASE("many end users do not fill the memory, and a request's limits outlast the clearing") {
    Fixture f("end_user_default: {rpm_limit: 14}");
    const auto identity = std::get<const Identity*>(f.ask("api-key", "sk-master"));
    CallerScopes kept;
    f.keys.scopes_for(*identity, "a", "first", kept);
    // The segment is small: idle limiters give way to new ones.
    for (int i = 0; i < 30'000; ++i) {
        CallerScopes other;
        f.keys.scopes_for(*identity, "a", "user-" + std::to_string(i), other);
    }
    CHECK(kept.windows.at(0)->name == "first");
}

TEST_CASE("models may be confined, and have other names for one key") {
    const Fixture f("keys: [{name: app, key: sk-app, models: [a], aliases: {fast: a}}]");
    CHECK(f.denied("sk-app", {"a", "a"}) == "");
    CHECK(f.denied("sk-app", {"other-name-of-a", "a"}) == "");
    CHECK(f.denied("sk-app", {"b", "b"}) ==
          "key_model_access_denied: The key 'app' may not use the model 'b'.");
    CHECK(f.denied("sk-app", {"nothing", ""}) != "");
    CHECK(f.denied("sk-master", {"b", "b"}) == "");
    const Identity& app = f.identity("sk-app");
    CHECK(Keys::resolve(app, "fast") == "a");
    CHECK(Keys::resolve(app, "a") == "a");
}

TEST_CASE("what a key may ask for its user, its team and the end user must be allowed, too") {
    const Fixture f(R"(keys: [{name: app, key: sk-app, user: ann, team: blue, models: [a, b, c]},
                              {name: free, key: sk-free, end_user: {models: [b]}}],
                       users: [{name: ann, models: [a, b]}], teams: [{name: blue, models: [a, c]}],
                       end_users: [{name: eve, models: [c]}])");
    CHECK(f.denied("sk-app", {"a", "a"}) == "");
    CHECK(f.denied("sk-app", {"b", "b"}).find("team_model_access_denied") == 0);
    CHECK(f.denied("sk-app", {"c", "c"}).find("user_model_access_denied") == 0);
    CHECK(f.denied("sk-app", {"a", "a"}, "eve").find("end_user_model_access_denied") == 0);
    CHECK(f.denied("sk-free", {"a", "a"}) == "");
    CHECK(f.denied("sk-free", {"a", "a"}, "somebody").find("end_user_model_access_denied") == 0);
    CHECK(f.denied("sk-free", {"b", "b"}, "somebody") == "");
}

TEST_CASE("a pattern allows groups, and what a wildcard group takes, but no group by another name") {
    const Fixture f(R"(keys: [{name: some, key: sk-some, models: ["gpt*", "openai/gpt-4*"]},
                              {name: one, key: sk-one, models: [openai/gpt-4o]},
                              {name: all, key: sk-all, models: ["openai/*"]}])");
    CHECK(f.denied("sk-some", {"gpt-4o", "gpt-4o"}) == "");
    CHECK(f.denied("sk-some", {"secret", "secret"}) != "");
    CHECK(f.denied("sk-some", {"gpt-of-an-id", "secret"}) != "");
    CHECK(f.denied("sk-some", {"openai/gpt-4o", "openai/*"}) == "");
    CHECK(f.denied("sk-some", {"openai/o3", "openai/*"}) != "");
    CHECK(f.denied("sk-one", {"openai/gpt-4o", "openai/*"}) == "");
    CHECK(f.denied("sk-one", {"openai/gpt-4o-mini", "openai/*"}) != "");
    CHECK(f.denied("sk-all", {"openai/o3", "openai/*"}) == "");
    CHECK(f.denied("sk-all", {"anthropic/x", "*"}) != "");
}

TEST_CASE("a configuration without any key is an open door, and one key closes it") {
    const auto open = [](const std::string& weir, const std::string& general) {
        return open_door(Fixture::parse(weir, general)).has_value();
    };
    CHECK(open("", "{}"));
    CHECK_FALSE(open("", "{master_key: sk-master}"));
    CHECK_FALSE(open("keys: [{name: a, key: sk-a, blocked: true}]", "{}"));
}
