#include "router/fallback.hpp"

#include <catch2/catch.hpp>

using namespace weir::router;

namespace {

FallbackRules rules() {
    FallbackRules r;
    r.fallbacks = {{"a", {"b", "c"}}, {"b", {"d", "a"}}, {"*", {"last"}}};
    r.context_window = {{"a", {"long"}}};
    r.content_policy = {{"a", {"mild"}}};
    return r;
}

std::string_view itself(std::string_view name) { return name; }

std::vector<std::string> all(const FallbackRules& r, const std::string& first, Kind kind) {
    FallbackPlan plan(r, {first, first}, itself);
    std::vector<std::string> groups;
    NamedGroup failed{first, first};
    for (;;) {
        const bool expected = plan.has_next(failed, kind);
        const auto next = plan.next(failed, kind);
        CHECK(next.empty() != expected);
        if (next.empty()) break;
        groups.emplace_back(next);
        failed = {next, next};
    }
    CHECK(plan.used() == groups.size());
    return groups;
}

using Groups = std::vector<std::string>;

}  // namespace

TEST_CASE("a failed group's fallbacks are tried in order, its own before what is left") {
    CHECK(all(rules(), "a", Kind::server_error) == Groups{"b", "d", "last", "c"});
    CHECK(all(rules(), "c", Kind::rate_limited) == Groups{"last"});
    CHECK(all(rules(), "last", Kind::timeout).empty());
}

TEST_CASE("prompts that are too long or filtered have lists of their own") {
    CHECK(all(rules(), "a", Kind::context_window) == Groups{"long", "last"});
    CHECK(all(rules(), "a", Kind::content_policy) == Groups{"mild", "last"});
    CHECK(all(rules(), "b", Kind::content_policy) == Groups{"d", "last", "a", "mild"});
}

TEST_CASE("without rules there is nowhere to go") {
    CHECK(all({}, "a", Kind::server_error).empty());
    CHECK(fallbacks_for({}, {"a", "a"}, Kind::context_window).empty());
}

TEST_CASE("a list by the name that was asked for comes before the group's, and neither leads back") {
    FallbackRules r;
    r.fallbacks = {{"alias", {"a", "x"}}, {"a", {"alias", "y"}}, {"b", {"z"}}};
    FallbackPlan by_name(r, {"alias", "a"}, itself);
    CHECK(by_name.next({"alias", "a"}, Kind::server_error) == "x");
    CHECK(by_name.next({"x", "x"}, Kind::server_error).empty());
    FallbackPlan by_group(r, {"w/model", "b"}, itself);
    CHECK(by_group.next({"w/model", "b"}, Kind::server_error) == "z");
    FallbackRules own;
    own.fallbacks = {{"*", {"a"}}};
    CHECK_FALSE(FallbackPlan(own, {"alias", "a"}, itself).has_next({"alias", "a"}, Kind::rate_limited));
}

TEST_CASE("max_fallbacks bounds a request") {
    auto r = rules();
    r.max_fallbacks = 2;
    CHECK(all(r, "a", Kind::server_error) == Groups{"b", "d"});
    r.max_fallbacks = 0;
    CHECK(all(r, "a", Kind::server_error).empty());
}

TEST_CASE("circles end") {
    FallbackRules r;
    r.fallbacks = {{"a", {"a", "b"}}, {"b", {"a", "b", "c"}}, {"c", {"b"}}};
    r.max_fallbacks = 100;
    CHECK(all(r, "a", Kind::server_error) == Groups{"b", "c"});
}

TEST_CASE("a group is tried once, by whichever of its names") {
    FallbackRules r;
    r.fallbacks = {{"*", {"also-a", "b", "nothing", "also-b", "c"}}};
    const auto meaning = [](std::string_view name) -> std::string_view {
        if (name == "also-a") return "a";
        if (name == "also-b") return "b";
        return name == "nothing" ? std::string_view() : name;
    };
    FallbackPlan plan(r, {"a", "a"}, meaning);
    CHECK(plan.next({"a", "a"}, Kind::server_error) == "b");
    CHECK(plan.has_next({"b", "b"}, Kind::server_error));
    CHECK(plan.next({"b", "b"}, Kind::server_error) == "c");
    CHECK_FALSE(plan.has_next({"c", "c"}, Kind::server_error));
    CHECK(plan.next({"c", "c"}, Kind::server_error).empty());
}
