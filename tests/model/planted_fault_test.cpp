// The explorer must find faults: a checker that cannot fail proves nothing. Each of these tempting variants
// of the window limiter is wrong, and each is caught; the way to the fault is printed.
#include <catch2/catch.hpp>

#include "tests/model/window_model.hpp"

namespace weir::model {
namespace {

using Geometry = shm::WindowGeometry<1, 3, 5>;
using Words = shm::WindowState<ModelWord, Geometry>;
constexpr auto kAny = std::memory_order_relaxed;  // ORDER(counter): the model's words know no orders

template <class Algorithm, class W = Words>
std::string fault_of(const Scenario& scenario) {
    using Model = WindowModel<Algorithm, W, 2>;
    Model model(scenario);
    const Report report = Explorer<Model>(model).run();
    WARN(report.states << " states until: " << report.problem << '\n' << report.trace);
    return report.problem;
}

Scenario with_refunds() {
    Scenario scenario;
    scenario.limit = 2;
    scenario.operations = 3;
    scenario.refunds = true;
    return scenario.offer(op_admit, {0, 3}, {2});
}

unsigned index_of(const ModelWord Words::*word) {
    static const Words words;
    return static_cast<unsigned>(&(words.*word) - &words.head);
}

unsigned edges() {
    static const Words words;
    const auto first = static_cast<unsigned>(words.edge - &words.head);
    return ((1u << Geometry::kRing) - 1) << first;
}

/// A refund that lowers C. Edges written in between keep the units, and C falls below them.
struct RefundFromHead : shm::Window<Words> {
    static void give_back(Words& state, std::uint64_t, std::uint64_t units) noexcept {
        std::uint64_t head = state.head.load(kAny);
        while (!state.head.cas(head, head - units, kAny, kAny)) {
        }
    }
};

/// A refund by one fetch_add, cheaper than a loop over a CAS. The slot may move on after its tag was read.
struct RefundByAdding : shm::Window<Words> {
    static void give_back(Words& state, std::uint64_t tick, std::uint64_t units) noexcept {
        ModelWord& slot = state.back[tick % Geometry::kRing];
        if (slot.load(kAny) >> Geometry::kUnitBits != (tick & Geometry::kTagMask)) return;
        std::uint64_t found = state.credited.load(kAny);
        while (found < tick && !state.credited.cas(found, tick, kAny, kAny)) {
        }
        slot.fetch_add(units, kAny);
    }
};

/// A limit is lowered, and that is all: whoever has read the one before goes on by it.
struct LoweredOnly : shm::Window<Words> {
    static void supersede(Words&, std::uint64_t, shm::Contention&) noexcept {}
};

/// What is free is read, and charged afterwards whatever has come in between.
struct LeftBySight : shm::Window<Words> {
    static shm::Charged leave_only(Words& state, std::uint64_t now, std::uint64_t left,
                                   shm::Contention& contention) noexcept {
        const shm::Usage usage = look(state, now);
        const std::uint64_t used = usage.used + left;
        if (used >= usage.limit) return {shm::Verdict::admitted, usage.tick, 0};
        return charge(state, now, usage.limit - used, contention);
    }
};

/// C in a word of its own beside the tick. Edges are filled by CAS, but with what C holds by then.
struct SplitWords {
    using Geometry = model::Geometry;
    ModelWord tick;
    ModelWord units;
    ModelWord limit;
    ModelWord edge[Geometry::kRing];
};

struct SplitHead {
    static constexpr std::uint64_t kHalf = 32;
    static constexpr std::uint64_t pack(std::uint64_t tick, std::uint64_t units) {
        return tick << kHalf | units;
    }

    static void reset(SplitWords& state, std::uint64_t tick, std::uint64_t limit) {
        for (std::uint64_t k = tick + 1 - Geometry::kRing; k <= tick; ++k) {
            state.edge[k % Geometry::kRing].store(pack(k, 0), kAny);
        }
        state.tick.store(tick, kAny);
        state.units.store(0, kAny);
        state.limit.store(limit, kAny);
    }

    static shm::Decision admit(SplitWords& state, std::uint64_t now, std::uint64_t units, shm::Contention&) {
        const std::uint64_t limit = state.limit.load(kAny);
        for (;;) {
            std::uint64_t tick = state.tick.load(kAny);
            const std::uint64_t to = std::max(now, tick);
            move(state, tick, to);
            std::uint64_t count = state.units.load(kAny);
            const std::uint64_t edge = state.edge[(to - Geometry::kTicks) % Geometry::kRing].load(kAny);
            if (edge >> kHalf != to - Geometry::kTicks) {  // overtaken: go where the other is going
                now = edge >> kHalf;
                continue;
            }
            if (count - (edge & 0xffff'ffff) + units > limit) return {shm::Verdict::over_limit, to};
            if (state.units.cas(count, count + units, kAny, kAny)) return {shm::Verdict::admitted, to};
        }
    }

    static void move(SplitWords& state, std::uint64_t tick, std::uint64_t to) {
        const std::uint64_t first = to - tick > Geometry::kRing ? to - Geometry::kRing : tick;
        for (std::uint64_t k = first + 1; k <= to; ++k) {
            ModelWord& slot = state.edge[k % Geometry::kRing];
            std::uint64_t found = slot.load(kAny);
            if (found >> kHalf < k) slot.cas(found, pack(k, state.units.load(kAny)), kAny, kAny);
        }
        if (tick != to) state.tick.cas(tick, to, kAny, kAny);
    }

    static void give_back(SplitWords&, std::uint64_t, std::uint64_t) {}
};

TEST_CASE("caught: edges written by a plain store") {
    Scenario scenario;
    scenario.plain_words = edges();
    CHECK(fault_of<shm::Window<Words>>(scenario.offer(op_admit, {0, 1, 2, 4}, {1})) != "");
}

TEST_CASE("caught: edges filled by CAS while C stands in a word of its own") {
    Scenario scenario;
    scenario.offer(op_admit, {0, 1, 2, 3}, {1});
    CHECK(fault_of<SplitHead, SplitWords>(scenario) != "");
}

TEST_CASE("caught: a refund that lowers C") {
    CHECK(fault_of<RefundFromHead>(with_refunds()) != "");
}

TEST_CASE("caught: a refund by fetch_add after a look at the tag") {
    CHECK(fault_of<RefundByAdding>(with_refunds()) != "");
}

TEST_CASE("caught: the head moved by a plain store") {
    Scenario scenario;
    scenario.plain_words = 1u << index_of(&Words::head);
    CHECK(fault_of<shm::Window<Words>>(scenario.offer(op_admit, {0, 1}, {1})) ==
          "over the limit in a window");
}

TEST_CASE("caught: a part that is lowered without a change of the head") {
    Scenario scenario;
    scenario.limit = 2;
    scenario.offer(op_admit, {0}, {1}).offer(op_part, {0}, {0});
    CHECK(fault_of<LoweredOnly>(scenario) == "over the limit in a window");
    CHECK(fault_of<shm::Window<Words>>(scenario) == "");
}

TEST_CASE("caught: all but what is left, charged in two steps") {
    Scenario scenario;
    scenario.limit = 3;
    scenario.offer(op_admit, {0}, {1}).offer(op_leave, {0}, {1});
    CHECK(fault_of<LeftBySight>(scenario) == "left less than was said");
    CHECK(fault_of<shm::Window<Words>>(scenario) == "");
}

TEST_CASE("not caught: the product's own limiter in the same scenario") {
    CHECK(fault_of<shm::Window<Words>>(with_refunds()) == "");
}

}  // namespace
}  // namespace weir::model
