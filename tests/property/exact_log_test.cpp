// Random operations at random clocks on the real segment, against an oracle that is as plain as can be: a log
// of what was admitted when.
//
// The limiter counts in ticks, so a unit stays for one window at least and one window and a tick at most:
//   an admission  must fit into the last window of the log;
//   a refusal     must not fit if everything of the last window and tick is counted;
//   usage         lies between the two;
//   earliest      is a time at which the same demand would pass, and one nanosecond before it would not.
//
// A failing sequence is made as short as possible and printed with its seed. WEIR_PROPERTY_SEED=n plays one
// seed again, WEIR_LONG=1 plays a hundred times as many.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <functional>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "shm/segment.hpp"
#include "tests/support/long_form.hpp"
#include "tests/unit/shm/scratch_segment.hpp"

using namespace weir::shm;
using weir::shm::test::ScratchName;

namespace {

constexpr Nanos kWindow = std::chrono::seconds(60);
constexpr Nanos kTick = kWindow / 62 + Nanos(100);  // rounding of 62 ticks included
constexpr std::size_t kScopes = 2;

struct Operation {
    enum Kind : std::uint8_t { advance, admit, settle, cancel, drop, charge, limit, kind_count };
    Kind kind;
    std::uint64_t a;
    std::uint64_t b;
    std::uint64_t lag;
};

/// One limiter as the oracle knows it.
struct Log {
    struct Entry {
        Nanos time;
        Units units;
    };
    Units limit;
    std::vector<Entry> entries;

    Units since(Nanos from) const {
        Units sum = 0;
        for (const Entry& entry : entries) sum += entry.time > from ? entry.units : 0;
        return sum;
    }
    Nanos latest(Nanos t) const {
        for (const Entry& entry : entries) t = std::max(t, entry.time);
        return t;
    }
    /// The least and the most that may count at `t`.
    Units least(Nanos t) const { return since(latest(t) - kWindow); }
    Units most(Nanos t) const { return since(t - kWindow - kTick); }
};

/// Plays operations on a segment and a log, until they disagree.
class Play {
 public:
    /// The oracle believes in a limit lower by `planted`, to see that it would notice.
    explicit Play(Units planted) : segment_(Segment::open(scratch_.options())), me_(segment_.join("me")) {
        for (std::size_t i = 0; i < kScopes; ++i) {
            limiters_[i] = segment_.limiter({"key", i == 0 ? "a" : "b", Unit::tokens, kWindow}, kLimits[i]);
            logs_[i].limit = kLimits[i] - planted;
        }
    }

    /// What was wrong, if anything.
    std::optional<std::string> run(const std::vector<Operation>& operations) {
        for (const Operation& operation : operations) {
            if (auto problem = apply(operation)) return problem;
            for (std::size_t i = 0; i < kScopes; ++i) {
                const LimiterUsage usage = me_.usage(limiters_[i], clock_);
                if (usage.used < logs_[i].least(clock_)) return "usage misses units";
                if (usage.used > logs_[i].most(clock_)) return "usage counts units that have expired";
            }
        }
        return std::nullopt;
    }

 private:
    static constexpr Units kLimits[kScopes] = {10, 6};

    /// A ticket and where its charges stand in the logs.
    struct Held {
        Ticket ticket;
        std::size_t entry[kScopes];
        bool settled_up;  // what came on top stands in another entry, and is left alone
    };

    std::optional<std::string> apply(const Operation& operation) {
        switch (operation.kind) {
            case Operation::advance:
                // Within a tick, some ticks, or more than a window.
                clock_ += Nanos(operation.a % (operation.b % 3 == 0   ? 200'000'000
                                               : operation.b % 3 == 1 ? 20'000'000'000
                                                                      : 130'000'000'000));
                return std::nullopt;
            case Operation::admit:
                return admit(operation.a % 5, operation.b % 4, clock_ - Nanos(operation.lag % 3'000'000'000));
            case Operation::charge:
                me_.charge(limiters_[operation.a % kScopes], 1 + operation.b % 3, clock_);
                logs_[operation.a % kScopes].entries.push_back({clock_, 1 + operation.b % 3});
                return std::nullopt;
            case Operation::limit: {
                Log& log = logs_[operation.a % kScopes];
                const Units was = kLimits[operation.a % kScopes];
                const Units limit = was / 2 + operation.b % was;
                segment_.set_limit(limiters_[operation.a % kScopes], limit);
                log.limit = limit;
                return std::nullopt;
            }
            default:
                return finish(operation);
        }
    }

    std::optional<std::string> admit(Units a, Units b, Nanos t) {
        const Charge charges[] = {{limiters_[0], a}, {limiters_[1], b}};
        const Units units[] = {a, b};
        const Demand demand{charges, {}};
        const auto earliest = me_.earliest(demand, t);
        const bool would = me_.would_admit(demand, t);
        Admission admission = me_.admit(demand, t);
        if (would != admission.admitted()) return "would_admit and admit disagree";
        if (!admission.admitted()) return refused(demand, admission.refusal, units, t, earliest);
        if (earliest != t) return "admitted although earliest said later";
        const Nanos counted = admission.ticket.admitted_at();
        Held held{std::move(admission.ticket), {}, false};
        for (std::size_t i = 0; i < kScopes; ++i) {
            held.entry[i] = logs_[i].entries.size();
            logs_[i].entries.push_back({counted, units[i]});
            if (units[i] != 0 && logs_[i].least(counted) > logs_[i].limit) return "over the limit";
        }
        held_.push_back(std::move(held));
        return std::nullopt;
    }

    std::optional<std::string> refused(const Demand& demand, const Refusal& refusal, const Units* units,
                                       Nanos t, std::optional<Nanos> earliest) {
        const Log& log = logs_[refusal.index];
        const Units asked = units[refusal.index];
        if (refusal.reason == Refused::never_fits) {
            return asked > log.limit && !earliest ? std::nullopt : std::optional<std::string>("would fit");
        }
        if (refusal.reason != Refused::over_limit) return "refused for no good reason";
        if (log.most(t) + asked <= log.limit) return "refused although it fits";
        if (!earliest) return std::nullopt;  // another scope can never fit
        if (!me_.would_admit(demand, *earliest)) return "earliest is too early";
        if (*earliest > t && me_.would_admit(demand, *earliest - Nanos(1))) return "earliest is too late";
        return std::nullopt;
    }

    std::optional<std::string> finish(const Operation& operation) {
        if (held_.empty()) return std::nullopt;
        const auto at = held_.begin() + static_cast<std::ptrdiff_t>(operation.a % held_.size());
        if (operation.kind == Operation::settle && !at->settled_up) {
            for (std::size_t i = 0; i < kScopes; ++i) settle(*at, i, operation.b >> (4 * i) & 7);
            return std::nullopt;
        }
        if (operation.kind == Operation::cancel && !at->settled_up) {
            for (std::size_t i = 0; i < kScopes; ++i) settle(*at, i, 0);
        }
        held_.erase(at);
        return std::nullopt;
    }

    void settle(Held& held, std::size_t scope, Units actual) {
        Log& log = logs_[scope];
        Units& charged = log.entries[held.entry[scope]].units;
        held.ticket.settle(scope, actual, clock_);
        if (actual > charged) {
            held.settled_up = true;
            log.entries.push_back({clock_, actual - charged});
        } else {
            charged = actual;
        }
    }

    const ScratchName scratch_;
    Segment segment_;
    Participant me_;
    Limiter limiters_[kScopes];
    Log logs_[kScopes];
    Nanos clock_ = now() + kWindow;
    std::vector<Held> held_;
};

std::vector<Operation> sequence_of(std::uint64_t seed) {
    std::mt19937_64 random(seed);
    std::vector<Operation> operations;
    const std::size_t length = 20 + random() % 180;
    while (operations.size() < length) {
        // Mostly admissions and time; a limit changes now and then.
        static constexpr Operation::Kind kKinds[] = {
            Operation::advance, Operation::advance, Operation::admit,  Operation::admit,  Operation::admit,
            Operation::admit,   Operation::settle,  Operation::cancel, Operation::charge, Operation::drop};
        Operation operation{kKinds[random() % std::size(kKinds)], random(), random(), 0};
        if (random() % 40 == 0) operation.kind = Operation::limit;
        if (random() % 4 == 0) operation.lag = random();
        operations.push_back(operation);
    }
    return operations;
}

std::optional<std::string> problem_with(const std::vector<Operation>& operations, Units planted) {
    return Play(planted).run(operations);
}

/// Leaves out whatever can be left out while something is still wrong.
std::vector<Operation> shrunk(std::vector<Operation> operations, Units planted) {
    for (std::size_t part = operations.size() / 2; part != 0; part /= 2) {
        for (std::size_t at = 0; at + part <= operations.size();) {
            std::vector<Operation> fewer = operations;
            const auto from = fewer.begin() + static_cast<std::ptrdiff_t>(at);
            fewer.erase(from, from + static_cast<std::ptrdiff_t>(part));
            if (problem_with(fewer, planted)) {
                operations = std::move(fewer);
            } else {
                at += part;
            }
        }
    }
    return operations;
}

std::string told(const std::vector<Operation>& operations) {
    static constexpr const char* kNames[] = {"advance", "admit",  "settle", "cancel",
                                             "drop",    "charge", "limit"};
    std::string text;
    for (const Operation& operation : operations) {
        text += std::string(kNames[operation.kind]) + " " + std::to_string(operation.a) + " " +
                std::to_string(operation.b) + " lag " + std::to_string(operation.lag) + "\n";
    }
    return text;
}

}  // namespace

TEST_CASE("random operations at random clocks agree with a plain log") {
    const char* given = std::getenv("WEIR_PROPERTY_SEED");
    const std::uint64_t first =
        given == nullptr ? static_cast<std::uint64_t>(now().count()) : std::strtoull(given, nullptr, 10);
    const std::uint64_t count = given != nullptr ? 1 : weir::test::long_form() ? 60'000 : 600;
    for (std::uint64_t seed = first; seed < first + count; ++seed) {
        const std::vector<Operation> operations = sequence_of(seed);
        const auto problem = problem_with(operations, 0);
        if (!problem) continue;
        const std::vector<Operation> fewest = shrunk(operations, 0);
        FAIL("WEIR_PROPERTY_SEED=" << seed << ": " << *problem << "; shortest: "
                                   << *problem_with(fewest, 0) << "\n" << told(fewest));
    }
    SUCCEED("seeds from " << first);
}

TEST_CASE("a limiter that admits one unit too many would be found, and in a few operations") {
    std::uint64_t seed = 1;
    while (!problem_with(sequence_of(seed), 1)) REQUIRE(++seed < 100);
    const std::vector<Operation> fewest = shrunk(sequence_of(seed), 1);
    INFO(told(fewest));
    CHECK(problem_with(fewest, 1));
    CHECK(fewest.size() <= 8);
}
