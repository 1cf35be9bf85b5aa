#include "tests/bench/team_subjects.hpp"

#include <fmt/format.h>

#include "tests/bench/rivals.hpp"
#include "tests/bench/scratch.hpp"
#include "tests/bench/team.hpp"
#include "tests/bench/weir_subjects.hpp"

namespace weir::bench {

namespace {

using shm::Charge;
using shm::Nanos;

/// One process's own opening of the segment.
struct Opened {
    shm::Segment segment;
    shm::Participant me;

    Opened(const std::string& name, unsigned place)
        : segment(shm::Segment::open(options_of(name))),
          me(segment.join(fmt::format("benchmark {}", place))) {}
};

/// What a limiter of a team is: who shares it, and how much it admits.
struct Limit {
    std::string name;
    shm::Units units = kPlenty;
    Nanos window = kLongWindow;
    bool own = false;  // each process has one of its own
};

std::unique_ptr<Subject> weir_team(std::string name, unsigned processes, const std::string& segment,
                                   const Limit& limit) {
    return std::make_unique<Team>(std::move(name), processes, [&](unsigned place) -> Stint {
        auto opened = std::make_shared<Opened>(segment, place);
        const std::string limiter = limit.own ? fmt::format("{} {}", limit.name, place) : limit.name;
        const Charge charge{
            opened->segment.limiter({"bench", limiter, shm::Unit::requests, limit.window}, limit.units), 1};
        return [opened, charge](Nanos until) {
            const std::uint64_t before = opened->me.contention();
            Tally tally = work_until(until, [&](Nanos now) {
                shm::Admission admission = opened->me.admit({{&charge, 1}, {}}, now);
                const bool admitted = admission.admitted();
                admission.ticket.close();
                return admitted;
            });
            tally.retries = opened->me.contention() - before;
            return tally;
        };
    });
}

template <class Admit>
std::unique_ptr<Subject> rival_team(std::string name, const std::string& segment, Admit admit) {
    return std::make_unique<Team>(std::move(name), 2, [&](unsigned place) -> Stint {
        auto opened = std::make_shared<Opened>(segment, place);
        Rivals& rivals = find_rivals(opened->segment);
        return [opened, &rivals, admit](Nanos until) {
            return work_until(until, [&](Nanos now) { return admit(rivals, now); });
        };
    });
}

}  // namespace

std::vector<std::unique_ptr<Subject>> team_subjects(const std::string& segment) {
    std::vector<std::unique_ptr<Subject>> all;
    all.push_back(weir_team("contended_2_processes", 2, segment, {"shared", kPlenty, kLongWindow, false}));
    all.push_back(weir_team("saturated_2_processes", 2, segment,
                            {"saturated", 1'000, std::chrono::seconds(1), false}));
    for (unsigned processes = 1; processes <= usable_cpus().size() && processes <= 16; processes *= 2) {
        const std::string name =
            fmt::format("distinct_{}_process{}", processes, processes == 1 ? "" : "es");
        all.push_back(weir_team(name, processes, segment, {"distinct", kPlenty, kLongWindow, true}));
    }
    all.push_back(rival_team("mutex_2_processes", segment,
                             [](Rivals& rivals, Nanos now) { return rivals.mutex.admit(1, now); }));
    all.push_back(rival_team("gcra_2_processes", segment,
                             [](Rivals& rivals, Nanos now) { return rivals.gcra.admit(1, now); }));
    return all;
}

}  // namespace weir::bench
