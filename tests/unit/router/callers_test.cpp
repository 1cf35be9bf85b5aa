#include <catch2/catch.hpp>

#include "config_text.hpp"

using namespace weir::router;
using namespace weir::router::test;

namespace {

std::string with_keys(const std::string& keys) {
    return kMinimal + "weir_settings: {keys: [" + keys + "]}\n";
}

const std::string kHash = "a3f5a8a3f5a8a3f5a8a3f5a8a3f5a8a3f5a8a3f5a8a3f5a8a3f5a8a3f5a8a3f5";

}  // namespace

TEST_CASE("keys, users and teams with their limits") {
    const auto weir =
        good(kMinimal + R"(
litellm_settings: {priority_reservation: {prod: 0.5}}
weir_settings:
  keys:
    - name: first
      key: sk-1
      rpm_limit: 10
      tpm_limit: 20
      rpd_limit: 30
      tpd_limit: 40
      max_parallel_requests: 5
      model_rpm_limit: {a: 6}
      model_tpm_limit: {a: 7}
      models: [a]
      user: ann
      team: blue
      priority: prod
      expires: 2030-01-01T00:00:00Z
      end_user: {rpm_limit: 2}
      aliases: {fast: a}
    - {name: second, key_sha256: )" +
             kHash + R"(, expires: 2030-01-01, blocked: true, models: [all-proxy-models]}
  users: [{name: ann, rpm_limit: 100}]
  teams: [{name: blue, tpm_limit: 1000, models: [a]}]
  end_users: [{name: eve, rpm_limit: 1}]
  end_user_default: {rpm_limit: 3}
)")
            .weir;
    REQUIRE(weir.keys.size() == 2);
    const auto& key = weir.keys[0];
    CHECK(key.name == "first");
    CHECK(key.key == "sk-1");
    CHECK(key.limits.rpm == 10u);
    CHECK(key.limits.tpm == 20u);
    CHECK(key.limits.rpd == 30u);
    CHECK(key.limits.tpd == 40u);
    CHECK(key.limits.max_parallel_requests == 5u);
    CHECK(key.limits.model_rpm.at("a") == 6);
    CHECK(key.limits.model_tpm.at("a") == 7);
    CHECK(key.models == Lines{"a"});
    CHECK(key.user == "ann");
    CHECK(key.team == "blue");
    CHECK(key.priority == "prod");
    CHECK(key.expires == std::chrono::seconds(1'893'456'000));
    REQUIRE(key.end_user.has_value());
    CHECK(key.end_user->limits.rpm == 2u);
    CHECK(key.aliases.at("fast") == "a");
    CHECK_FALSE(key.blocked);
    const auto& second = weir.keys[1];
    CHECK(second.key_sha256 == kHash);
    CHECK(second.key.empty());
    CHECK(second.expires == key.expires);
    CHECK(second.blocked);
    CHECK(second.models.empty());
    CHECK_FALSE(second.limits.rpm.has_value());
    CHECK(weir.users[0].limits.rpm == 100u);
    CHECK(weir.teams[0].limits.tpm == 1000u);
    CHECK(weir.teams[0].models == Lines{"a"});
    CHECK(weir.end_users[0].name == "eve");
    CHECK(weir.end_user_default->limits.rpm == 3u);
}

TEST_CASE("what is wrong with keys is told, without telling them") {
    const auto one = [](const std::string& keys) {
        const auto list = errors(with_keys(keys));
        for (const auto& line : list) CHECK(line.find("sk-secret") == std::string::npos);
        return list.size() == 1 ? list[0] : std::to_string(list.size()) + " errors";
    };
    CHECK(one("{key: sk-secret}") ==
          "weir_settings.keys[0]: name is missing; its counters go by it");
    CHECK(one("{name: k}") == "weir_settings.keys[0]: key is missing; expected key or key_sha256");
    CHECK(one("{name: k, key: sk-secret, key_sha256: " + kHash + "}") ==
          "weir_settings.keys[0]: key and key_sha256 are both given; expected one of them");
    CHECK(
        one("{name: k, key_sha256: sk-secret}") ==
        "weir_settings.keys[0].key_sha256: expected 64 hexadecimal digits, the SHA-256 of the key");
    CHECK(one("{name: k, key: sk-1}, {name: k, key: sk-2}") ==
          "weir_settings.keys[1].name: \"k\" is used twice");
    CHECK(one("{name: k, key: sk-secret}, {name: l, key: sk-secret}") ==
          "weir_settings.keys[1]: another entry has the same key");
    CHECK(one("{name: k, key: \"sk-secret\\n\"}") ==
          "weir_settings.keys[0].key: has a control character in it");
    CHECK(one("{name: k, key: sk-1, rpm_limit: 0}").find("expected a whole number from 1") !=
          std::string::npos);
    CHECK(one("{name: k, key: sk-1, expires: tomorrow}").find("expected a date") !=
          std::string::npos);
    CHECK(one("{name: k, key: sk-1, aliases: {x: nowhere}}").find("not in the model_list") !=
          std::string::npos);
    CHECK(one("7").find("expected a mapping") != std::string::npos);
    CHECK(errors(kMinimal + "weir_settings: {keys: {}, users: [{}], teams: 5}").size() == 3);
}

TEST_CASE("what may be a mistake with keys is a warning") {
    CHECK(warnings(with_keys("{name: k, key: plain}")).size() == 1);
    CHECK(warnings(with_keys("{name: k, key: sk-1, user: nobody}")).size() == 1);
    CHECK(warnings(with_keys("{name: k, key: sk-1, team: nobody}")).size() == 1);
    CHECK(warnings(with_keys("{name: k, key: sk-1, models: [b]}")).size() == 1);
    CHECK(warnings(with_keys("{name: k, key: sk-1, priority: high}")).size() == 1);
    CHECK(warnings(with_keys("{name: k, key: sk-1, max_budget: 5, rpm: 3}")).size() == 2);
    CHECK(errors(with_keys("{name: k, key: sk-1, max_budget: 5, rpm: 3}")).empty());
}

TEST_CASE("LiteLLM's words are understood too") {
    const auto weir =
        good(kMinimal +
             "weir_settings: {keys: [{key_alias: k, key: sk-1, user_id: u, team_id: t}],"
             " users: [{name: u}], teams: [{name: t}]}")
            .weir;
    CHECK(weir.keys[0].name == "k");
    CHECK(weir.keys[0].user == "u");
    CHECK(weir.keys[0].team == "t");
}

TEST_CASE("a hash in capitals is the same hash") {
    std::string capitals = kHash;
    for (auto& c : capitals) c = c >= 'a' ? static_cast<char>(c - 'a' + 'A') : c;
    CHECK(good(with_keys("{name: k, key_sha256: " + capitals + "}")).weir.keys[0].key_sha256 ==
          kHash);
}
