#include "loadtest/tally.hpp"

#include <catch2/catch.hpp>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

using namespace weir::loadtest;

TEST_CASE("a status line says what became of a request") {
    const std::vector<std::pair<unsigned, Outcome>> expected{
        {200, Outcome::success},      {204, Outcome::success},      {299, Outcome::success},
        {429, Outcome::refused},      {401, Outcome::unauthorized}, {403, Outcome::unauthorized},
        {400, Outcome::client_error}, {404, Outcome::client_error}, {499, Outcome::client_error},
        {500, Outcome::server_error}, {503, Outcome::server_error}, {599, Outcome::server_error},
        {0, Outcome::odd_answer},     {100, Outcome::odd_answer},   {301, Outcome::odd_answer},
        {600, Outcome::odd_answer},
    };
    for (const auto& [status, outcome] : expected) {
        INFO(status);
        CHECK(outcome_of_status(status) == outcome);
    }
}

TEST_CASE("every outcome has a name of its own") {
    std::set<std::string_view> names;
    for (std::size_t i = 0; i < kOutcomes; ++i) names.insert(name_of(static_cast<Outcome>(i)));
    CHECK(names.size() == kOutcomes);
    CHECK(names.count("unknown") == 0);
    CHECK(name_of(static_cast<Outcome>(kOutcomes)) == "unknown");
}

TEST_CASE("tallies add up by kind") {
    Tally some;
    some.add(Outcome::success, 3);
    some.add(Outcome::refused, 2);
    some.add(Outcome::timeout);
    Tally more;
    more.add(Outcome::success);
    more.add(Outcome::connect_failed, 4);
    some.add(more);
    CHECK(some.successes() == 4);
    CHECK(some.refusals() == 2);
    CHECK(some.of(Outcome::connect_failed) == 4);
    CHECK(some.total() == 11);
    CHECK(some.errors() == 5);
}

TEST_CASE("only an error that may have reached the upstream leaves an admission open") {
    for (std::size_t i = 0; i < kOutcomes; ++i) {
        const auto outcome = static_cast<Outcome>(i);
        const bool open = outcome == Outcome::server_error || outcome == Outcome::odd_answer ||
                          outcome == Outcome::timeout || outcome == Outcome::connection_lost;
        Tally tally;
        tally.add(outcome, 7);
        INFO(name_of(outcome));
        CHECK(tally.uncertain() == (open ? 7 : 0));
    }
}
