// What the benchmarks rest on: which figure stands for rounds, what is printed, and rivals that work.
#include "tests/bench/measure.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "tests/bench/report.hpp"
#include "tests/bench/rivals.hpp"

namespace weir::bench {
namespace {

struct Silent final : Subject {
    explicit Silent(bool joint) : Subject("silent"), joint_(joint) {}
    Round round() override { return {1, 1, false}; }
    bool joint() const noexcept override { return joint_; }
    std::string note() const override { return "said"; }
    bool joint_;
};

const std::vector<Round> kRounds = {{10, 500, false}, {10, 100, false}, {10, 300, false}, {10, 10, true}};

}  // namespace

TEST_CASE("the fastest round stands for one process, and disturbed rounds do not count") {
    const Row row = summed_up(Silent(false), kRounds);
    CHECK(row.ns == 10);
    CHECK(row.min_ns == 10);
    CHECK(row.median_ns == 30);
    CHECK(row.rounds == 3);
    CHECK(row.disturbed == 1);
    CHECK(row.note == "said");
}

TEST_CASE("the median round stands for several processes") {
    CHECK(summed_up(Silent(true), kRounds).ns == 30);
}

TEST_CASE("when every round was disturbed all of them count, and the row says so") {
    const Row row = summed_up(Silent(false), {{10, 500, true}, {10, 100, true}});
    CHECK(row.ns == 10);
    CHECK(row.disturbed == 0);
    CHECK(row.note.find("every round was disturbed") != std::string::npos);
    CHECK(summed_up(Silent(false), {}).rounds == 0);
}

TEST_CASE("subjects take turns, after one that does not count") {
    std::string order;
    std::vector<std::unique_ptr<Subject>> subjects;
    for (const char name : {'a', 'b'}) {
        subjects.push_back(
            std::make_unique<Loop>(std::string(1, name), 4, [&order, name](std::uint64_t count) {
                if (count == 4) order += name;  // and not the warming up
            }));
    }
    const std::vector<Row> rows = measure(subjects, 2, [] { return false; });
    CHECK(order == "ababab");
    CHECK(rows.at(0).rounds == 2);
    order.clear();
    CHECK(measure(subjects, 2, [] { return true; }).at(0).rounds == 0);
    CHECK(order == "ab");
}

TEST_CASE("the report is a table for people and JSON for programs") {
    Report report;
    report.rows.push_back({"admit_1_scope", 40, 40, 50, 7, 2, "a note"});
    report.skipped.push_back({"redis_unix", "none there"});
    report.cpus = 2;
    const std::string table = as_table(report);
    CHECK(table.find("admit_1_scope") != std::string::npos);
    CHECK(table.find("25000000") != std::string::npos);
    CHECK(table.find("redis_unix: skipped: none there") != std::string::npos);
    const auto json = nlohmann::json::parse(as_json(report));
    CHECK(json["benchmarks"][0]["name"] == "admit_1_scope");
    CHECK(json["benchmarks"][0]["ns_per_op"] == 40);
    CHECK(json["benchmarks"][0]["ops_per_second"] == 25e6);
    CHECK(json["skipped"][0]["reason"] == "none there");
}

TEST_CASE("the mutex's window slides and holds its limit") {
    MutexLimiter limiter(3, shm::Nanos(6200));
    const shm::Nanos t{1'000'000};
    CHECK(limiter.admit(2, t));
    CHECK(limiter.admit(1, t + shm::Nanos(3000)));
    CHECK_FALSE(limiter.admit(1, t + shm::Nanos(6000)));
    CHECK(limiter.admit(2, t + shm::Nanos(6400)));
    CHECK_FALSE(limiter.admit(1, t + shm::Nanos(6400)));
    CHECK(limiter.admit(3, t + shm::Nanos(20'000)));
}

TEST_CASE("GCRA admits a burst of its limit and then one unit after the other") {
    GcraLimiter limiter(3, shm::Nanos(3000));
    const shm::Nanos t{1'000'000};
    CHECK(limiter.admit(3, t));
    CHECK_FALSE(limiter.admit(1, t + shm::Nanos(999)));
    CHECK(limiter.admit(1, t + shm::Nanos(1000)));
    CHECK_FALSE(limiter.admit(1, t + shm::Nanos(1000)));
}

}  // namespace weir::bench
