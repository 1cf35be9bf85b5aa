#include "tests/bench/directory_subjects.hpp"

#include <optional>
#include <random>
#include <string>

#include "tests/bench/scratch.hpp"

namespace weir::bench {

namespace {

constexpr std::size_t kLimiters = 100'000;
constexpr std::uint64_t kSegmentBytes = std::uint64_t{256} << 20;
constexpr shm::Units kLimit = 1000;

/// Names as keys of customers have them, and the segment that they are put into.
struct Directory {
    std::vector<std::string> names;
    std::optional<Scratch> scratch;

    Directory() {
        for (std::size_t i = 0; i < kLimiters; ++i) names.push_back("sk-customer-" + std::to_string(i));
        empty();
    }
    void empty() {
        scratch.reset();
        scratch.emplace("directory", kSegmentBytes);
    }
    shm::Limiter limiter(std::size_t index) {
        return scratch->segment().limiter({"key", names[index]}, kLimit);
    }
};

class Make final : public Subject {
 public:
    explicit Make(std::shared_ptr<Directory> directory)
        : Subject("make_limiter"), directory_(std::move(directory)) {}
    Round round() override {
        directory_->empty();
        const double begin = thread_cpu_ns();
        for (std::size_t i = 0; i < kLimiters; ++i) keep(directory_->limiter(i).record);
        return {kLimiters, thread_cpu_ns() - begin, false};
    }
    unsigned turns_per_round() const noexcept override { return 100; }
    std::string note() const override { return "100,000 of them into a segment of 256 MiB"; }

 private:
    std::shared_ptr<Directory> directory_;
};

}  // namespace

std::vector<std::unique_ptr<Subject>> directory_subjects() {
    auto directory = std::make_shared<Directory>();
    auto random = std::make_shared<std::mt19937_64>(1);
    std::vector<std::unique_ptr<Subject>> all;
    all.push_back(std::make_unique<Make>(directory));
    all.push_back(
        std::make_unique<Loop>("find_among_100k_limiters", 5'000, [directory, random](std::uint64_t count) {
            for (std::uint64_t i = 0; i < count; ++i) {
                keep(directory->limiter((*random)() % kLimiters).record);
            }
        }));
    return all;
}

}  // namespace weir::bench
