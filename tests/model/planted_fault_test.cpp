// The explorer must find faults. Each of these tempting variants is wrong, and each is caught.
#include <catch2/catch.hpp>

#include "tests/model/window_model.hpp"

namespace weir::model {
namespace {

using Geometry = shm::WindowGeometry<1, 3, 5>;
using Words = shm::WindowState<ModelWord, Geometry>;
constexpr auto kAny = std::memory_order_relaxed;  // ORDER(counter): the model's words know no orders

/// Two processes, three operations each, with give-backs.
Scenario hard() {
    Scenario scenario;
    scenario.limit = 2;
    scenario.operations = 3;
    scenario.refunds = true;
    return scenario.offer(op_admit, {0, 1, 3}, {2});
}

template <class Algorithm, class W>
Report explore(const Scenario& scenario) {
    using Model = WindowModel<Algorithm, W, 2>;
    Model model(scenario);
    return Explorer<Model>(model).run();
}

/// A refund that lowers C instead of going to the tick of its charge.
struct RefundFromHead : shm::Window<Words> {
    static void give_back(Words& state, std::uint64_t, std::uint64_t units) noexcept {
        std::uint64_t head = state.head.load(kAny);
        while (!state.head.cas(head, head - units, kAny, kAny)) {
        }
    }
};

/// C in a word of its own, beside a head that holds the tick alone.
template <bool Together>
struct SplitHead {
    struct State {
        using Geometry = planted::Geometry;
    };
};

}  // namespace
}  // namespace weir::model
