#include "router/own_fallbacks.hpp"

#include <catch2/catch.hpp>

#include "router/request.hpp"

using namespace weir::router;

namespace {

using Names = std::vector<std::string>;

std::optional<OwnFallbacks> own(std::string_view body) {
    auto read = read_request(body);
    if (const auto* bad = std::get_if<BadRequest>(&read)) FAIL(body << " -> " << bad->message);
    return std::get<RequestFacts>(read).own_fallbacks;
}

/// The field at fault.
std::string_view refused(std::string_view body) {
    const auto read = read_request(body);
    if (std::holds_alternative<RequestFacts>(read)) FAIL(body << " was accepted");
    return std::get<BadRequest>(read).param;
}

}  // namespace

TEST_CASE("fallbacks of its own: names, objects with a model, or lists by group") {
    CHECK_FALSE(own(R"({"model":"m"})").has_value());
    CHECK_FALSE(own(R"({"model":"m","fallbacks":null})").has_value());
    CHECK(own(R"({"fallbacks":["a","b\n"],"model":"m"})")->anyhow == Names{"a", "b\n"});
    CHECK(own(R"({"model":"m","fallbacks":[{"model":"a"},"b"]})")->anyhow == Names{"a", "b"});
    const auto lists = own(R"({"model":"m","fallbacks":[{"m":["a"],"n":["b"]},{"model":["c"]}]})");
    CHECK(lists->anyhow.empty());
    CHECK(lists->fallbacks == FallbackLists{{"m", {"a"}}, {"n", {"b"}}, {"model", {"c"}}});
    CHECK(own(R"({"model":"m","fallbacks":[]})")->fallbacks->empty());
    const auto kinds =
        own(R"({"model":"m","context_window_fallbacks":[{"m":["a"]}],"content_policy_fallbacks":["b"]})");
    CHECK(kinds->context_window->at("m") == Names{"a"});
    CHECK(kinds->content_policy->at("*") == Names{"b"});
    CHECK_FALSE(kinds->fallbacks.has_value());
    CHECK(named_in(*kinds) == std::vector<std::string_view>{"a", "b"});
    const auto flags = own(R"({"model":"m","disable_fallbacks":true,"max_fallbacks":2,)"
                           R"("mock_testing_context_fallbacks":true,"mock_testing_fallbacks":false})");
    CHECK(flags->disabled);
    CHECK(flags->max_fallbacks == 2u);
    CHECK(flags->pretended == Kind::context_window);
    for (const char* wrong :
         {R"("a")", "1", "{}", "[1]", "[[]]", R"([""])", R"([{"model":1}])", R"([{"a":"b"}])",
          R"([{"a":[1]}])", R"([{"model":"a","messages":[]}])", R"([{"model":"a","n":1}])"}) {
        CAPTURE(wrong);
        CHECK(refused(R"({"model":"m","fallbacks":)" + std::string(wrong) + "}") == "fallbacks");
    }
    std::string many = R"({"model":"m","fallbacks":["x")";
    for (std::size_t i = 0; i < kOwnFallbacksMax; ++i) many += R"(,"x")";
    CHECK(refused(many + "]}") == "fallbacks");
    CHECK(refused(R"({"model":"m","disable_fallbacks":"yes"})") == "disable_fallbacks");
    CHECK(refused(R"({"model":"m","fallbacks":["a"],"fallbacks":["b"]})") == "fallbacks");
}

TEST_CASE("what a request says about its fallbacks goes before the configuration") {
    FallbackRules rules;
    rules.fallbacks = {{"a", {"b"}}, {"*", {"last"}}};
    rules.context_window = {{"a", {"long"}}};
    OwnFallbacks own;
    const auto list = [&](Kind kind) {
        const FallbackRules mine = with_own(rules, own);
        const auto found = fallbacks_for(mine, {"a", "a"}, kind);
        return mine.max_fallbacks == 0 ? Names{} : Names(found.begin(), found.end());
    };
    CHECK(list(Kind::server_error) == Names{"b"});
    CHECK(list(Kind::context_window) == Names{"long"});
    own.fallbacks = FallbackLists{{"a", {"x"}}};
    CHECK(list(Kind::server_error) == Names{"x"});
    CHECK(list(Kind::context_window) == Names{"long"});
    own.context_window = FallbackLists{{"*", {"longer"}}};
    CHECK(list(Kind::context_window) == Names{"longer"});
    own.anyhow = {"y", "z"};  // before every list, for every reason
    CHECK(list(Kind::context_window) == Names{"y", "z"});
    CHECK(list(Kind::content_policy) == Names{"y", "z"});
    own.max_fallbacks = 1;
    CHECK(with_own(rules, own).max_fallbacks == 1);
    own.disabled = true;
    CHECK(list(Kind::server_error).empty());
}

TEST_CASE("names that mean others are put by, of groups and of what they fall back to") {
    OwnFallbacks mine;
    mine.anyhow = {"fast", "b"};
    mine.fallbacks = FallbackLists{{"a", {"fast"}}, {"quick", {"c"}}, {"*", {"b"}}};
    rename(mine, [](std::string_view name) { return name == "fast" || name == "quick" ? "a" : name; });
    CHECK(mine.anyhow == Names{"a", "b"});
    CHECK(mine.fallbacks == FallbackLists{{"a", {"a", "c"}}, {"*", {"b"}}});
    CHECK_FALSE(mine.context_window.has_value());
}
