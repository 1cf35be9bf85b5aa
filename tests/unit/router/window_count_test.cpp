#include "router/window_count.hpp"

#include "config_text.hpp"

using namespace weir::router;
using namespace weir::router::test;

TEST_CASE("a key under more limits than one request can be counted under is an error") {
    const std::string all = "rpm_limit: 1, tpm_limit: 1, rpd_limit: 1, tpd_limit: 1";
    const auto config = [&](const std::string& limits, const std::string& more) {
        return "model_list:\n  - model_name: a\n    litellm_params: {model: m, api_base: "
               "http://h, " +
               limits + "}\n" + more +
               "weir_settings:\n  keys: [{name: k, key: sk, user: u, team: t, model_rpm_limit: {a: "
               "1}, " +
               all + "}]\n  users: [{name: u, " + all + "}]\n  teams: [{name: t, " + all + "}]\n";
    };
    // Five, four and four of the caller's leave three for the deployment.
    CHECK(errors(config("rpm: 1, tpm: 1, itpm: 1", "")).empty());
    const auto found = errors(config("rpm: 1, tpm: 1, itpm: 1, otpm: 1", ""));
    REQUIRE(found.size() == 1);
    CHECK(found[0].find("weir_settings.keys[0]: ") == 0);
    CHECK(found[0].find("has 13 limits, and a deployment 4 more; one request can be counted under "
                        "at most 16") != std::string::npos);
    CHECK(errors(config("rpm: 1, tpm: 1, itpm: 1",
                        "router_settings: {routing_strategy: usage-based-routing}\n"))
              .size() == 1);
    CHECK(errors(config("rpm: 1, tpm: 1", "litellm_settings: {priority_reservation: {p: 0.5}}\n"))
              .size() == 1);
    CHECK(errors(config("rpm: 1, tpm: 1, itpm: 1", "") + "  end_user_default: {rpm_limit: 1}\n").size() == 1);
}
