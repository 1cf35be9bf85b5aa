#include "shm/parameter.hpp"

#include <catch2/catch.hpp>

#include "shm/word.hpp"

namespace weir::shm {
namespace {

constexpr std::uint64_t life_of(std::uint64_t generation) {
    return Life::pack(generation, Life::live);
}

void make(Word& word, std::uint64_t generation, std::uint64_t value) {
    // ORDER(limit): one thread
    word.store(Parameter<>::pack(life_of(generation), value), std::memory_order_relaxed);
}

std::uint64_t value(const Word& word) {
    return Parameter<>::value_of(word.load(std::memory_order_relaxed));  // ORDER(limit): one thread
}

TEST_CASE("a parameter is changed within its life, and says what it was") {
    Word word;
    make(word, 7, 100);
    CHECK(Parameter<>::change(word, life_of(7), 50) == 100u);
    CHECK(value(word) == 50);
    CHECK(Parameter<>::change(word, life_of(7), 50) == 50u);
    CHECK(Parameter<>::change(word, life_of(7), 0) == 50u);
    CHECK(value(word) == 0);
}

TEST_CASE("lowering never raises") {
    Word word;
    make(word, 7, 100);
    CHECK(Parameter<>::lower(word, life_of(7), 150) == 100u);
    CHECK(value(word) == 100);
    CHECK(Parameter<>::lower(word, life_of(7), 50) == 100u);
    CHECK(value(word) == 50);
    CHECK_FALSE(Parameter<>::lower(word, life_of(8), 1));
}

TEST_CASE("a parameter of the next life is not changed, nor one of the life before") {
    Word word;
    make(word, 8, 100);
    CHECK_FALSE(Parameter<>::change(word, life_of(7), 50));
    CHECK_FALSE(Parameter<>::change(word, life_of(9), 50));
    CHECK(value(word) == 100);
}

TEST_CASE("a record that is being made is already in the life that its handles will name") {
    CHECK(Parameter<>::pack(Life::pack(3, Life::building), 5) == Parameter<>::pack(life_of(3), 5));
}

TEST_CASE("the largest value, in the last generation, leaves the others alone") {
    Word word;
    make(word, 0xffff'ffff, Parameter<>::kMax);
    CHECK(value(word) == Parameter<>::kMax);
    CHECK(Parameter<>::change(word, life_of(0xffff'ffff), 1) == Parameter<>::kMax);
    CHECK(value(word) == 1);
}

}  // namespace
}  // namespace weir::shm
