#include "tests/bench/weir_subjects.hpp"

#include <array>
#include <stdexcept>
#include <string>

namespace weir::bench {

namespace {

using shm::Admission;
using shm::Charge;
using shm::Gauge;
using shm::Limiter;
using shm::Participant;
using shm::Segment;

constexpr std::uint64_t kOperations = 20'000;  // a millisecond or so

Charge limited(Segment& segment, const char* name, shm::Units limit) {
    return {segment.limiter({"bench", name, shm::Unit::requests, kLongWindow}, limit), 1};
}

/// Fills `charge`'s limiter. With `credits` half of it is given back first, so that a later refusal has to
/// look at what was given back in every tick.
void fill(Participant& me, Charge charge, shm::Units limit, bool credits) {
    charge.units = limit;
    Admission all = me.admit({{&charge, 1}, {}}, shm::now());
    if (!credits) return all.ticket.close();
    all.ticket.settle(0, limit / 2, shm::now());
    all.ticket.close();
    charge.units = limit - limit / 2;
    me.admit({{&charge, 1}, {}}, shm::now()).ticket.close();
}

/// Decides again and again; every decision must end as `admitted` says.
template <std::size_t Scopes>
std::unique_ptr<Subject> decisions(const char* name, Participant& me, std::array<Charge, Scopes> charges,
                                   std::vector<Gauge> holds, bool admitted) {
    return std::make_unique<Loop>(
        name, kOperations, [&me, charges, holds = std::move(holds), admitted](std::uint64_t count) {
            const shm::Demand demand{charges, holds};
            std::uint64_t as_meant = 0;
            for (std::uint64_t i = 0; i < count; ++i) {
                Admission admission = me.admit(demand, shm::now());
                if (admission.admitted() == admitted) ++as_meant;
                admission.ticket.close();
            }
            if (as_meant != count)
                throw std::logic_error("a decision went another way than it was meant to");
        });
}

std::unique_ptr<Subject> settlements(Participant& me, Charge charge) {
    charge.units = 100;
    return std::make_unique<Loop>("admit_and_settle", kOperations, [&me, charge](std::uint64_t count) {
        for (std::uint64_t i = 0; i < count; ++i) {
            const shm::Nanos now = shm::now();
            Admission admission = me.admit({{&charge, 1}, {}}, now);
            admission.ticket.settle(0, 60, now);
            admission.ticket.close();
        }
    });
}

std::unique_ptr<Subject> loop(const char* name, std::function<void()> once) {
    return std::make_unique<Loop>(name, kOperations, [once = std::move(once)](std::uint64_t count) {
        for (std::uint64_t i = 0; i < count; ++i) once();
    });
}

}  // namespace

std::vector<std::unique_ptr<Subject>> weir_subjects(Segment& segment, Participant& me) {
    const Charge full = limited(segment, "full", 1000);
    const Charge credited = limited(segment, "credited", 1000);
    fill(me, full, 1000, false);
    fill(me, credited, 1000, true);
    const Charge a = limited(segment, "a", kPlenty);
    const Charge b = limited(segment, "b", kPlenty);
    const Charge c = limited(segment, "c", kPlenty);
    const Charge d = limited(segment, "d", kPlenty);
    const Charge tokens = limited(segment, "tokens", kPlenty);
    const Gauge gauge = segment.gauge("bench", "gauge", 1000);

    std::vector<std::unique_ptr<Subject>> all;
    all.push_back(std::make_unique<Loop>("clock_read", kOperations, [](std::uint64_t count) {
        for (std::uint64_t i = 0; i < count; ++i) keep(shm::now().count());
    }));
    all.push_back(decisions<1>("admit_1_scope", me, {a}, {}, true));
    all.push_back(decisions<1>("refuse_1_scope", me, {full}, {}, false));
    all.push_back(decisions<1>("refuse_1_scope_credits", me, {credited}, {}, false));
    all.push_back(decisions<4>("admit_4_scopes", me, {a, b, c, d}, {}, true));
    all.push_back(decisions<4>("refuse_4_scopes", me, {a, b, c, full}, {}, false));
    all.push_back(decisions<1>("admit_1_scope_1_gauge", me, {a}, {gauge}, true));
    all.push_back(settlements(me, tokens));
    all.push_back(loop("look", [&me, a] { keep(me.usage(a.limiter, shm::now()).used); }));
    all.push_back(
        loop("look_credits", [&me, credited] { keep(me.usage(credited.limiter, shm::now()).used); }));
    all.push_back(loop("earliest", [&me, full] {
        keep(me.earliest({{&full, 1}, {}}, shm::now())->count());
    }));
    all.push_back(
        loop("find_limiter", [&segment] { keep(limited(segment, "a", kPlenty).limiter.record); }));
    return all;
}

}  // namespace weir::bench
