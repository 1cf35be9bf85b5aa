// Deployments chosen by the tags of requests.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <string>

#include "rig.hpp"
#include "tests/support/fake_upstream.hpp"

using namespace weir::router;
using namespace weir::router::test;
using weir::test::FakeUpstream;
using Json = nlohmann::json;

TEST_CASE("a request with tags goes to the deployments that have them") {
    const FakeUpstream free;
    const FakeUpstream paid;
    const FakeUpstream other;
    const std::string models = entry("m", "free", free.base(), "tags: [free]") +
                               entry("m", "paid", paid.base(), "tags: [paid, eu]");
    const auto ask = [](Rig& rig, const std::string& more) {
        return rig.ask(R"({"model":"m","messages":[])" + more + "}");
    };
    SECTION("and to no others") {
        Rig rig({models, "enable_tag_filtering: true, num_retries: 0"});
        for (int i = 0; i < 5; ++i) {
            CHECK(ask(rig, R"(,"tags":["paid"])").deployment_id == "paid");
            CHECK(ask(rig, R"(,"metadata":{"tags":["free"]})").deployment_id == "free");
        }
        CHECK_FALSE(Json::parse(paid.last().at("body").get<std::string>()).contains("tags"));
        const Reply refused = ask(rig, R"(,"tags":["none"])");
        CHECK(refused.status == 400);
        CHECK(Json::parse(refused.body).at("error").at("param") == "tags");
        // One that is named by its id is meant.
        CHECK(rig.ask(R"({"model":"free","messages":[],"tags":["paid"]})").deployment_id == "free");
    }
    SECTION("also when those fail: others are not asked, and are not waited for") {
        Rig rig({models, "enable_tag_filtering: true, num_retries: 2"});
        paid.play(R"([{"status":429,"headers":{"retry-after":"30"},"times":9}])");
        CHECK(ask(rig, R"(,"tags":["paid"],"num_retries":0)").status == 429);
        CHECK(rig.cooling("paid"));
        const Reply refused = ask(rig, R"(,"tags":["paid"])");
        CHECK(refused.status == 429);
        CHECK(refused.body.find("cooling down") != std::string::npos);
        CHECK(free.arrivals() == 0);
    }
    SECTION("or to the default ones") {
        Rig rig({models + entry("m", "other", other.base(), "tags: [default]"),
                 "enable_tag_filtering: true"});
        for (int i = 0; i < 5; ++i) {
            CHECK(ask(rig, "").deployment_id == "other");
            CHECK(ask(rig, R"(,"tags":["none"])").deployment_id == "other");
        }
    }
    SECTION("but not unless the configuration says so") {
        Rig rig({models, "num_retries: 0"});
        CHECK(ask(rig, R"(,"tags":["none"])").status == 200);
    }
}
