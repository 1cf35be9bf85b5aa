// Hosts that share one limit through a store, in virtual time: every message, clock and fault is drawn from a
// seed, and everything that is admitted goes into one log by true time.
//
// The hosts run the product's LeaseHost; the store is the lease script's twin
// (tests/support/lease_store.hpp). The host's limiter is a plain list of what was admitted, so the log owes
// nothing to shm/.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <queue>
#include <random>
#include <vector>

#include "router/redis/lease_host.hpp"
#include "tests/support/lease_store.hpp"

namespace weir::test {

using router::Beat;
using router::BeatAnswer;
using shm::Nanos;
using shm::Units;

struct Admitted {
    Nanos at;
    Units units;
};

/// The most that was admitted in any interval of `window`.
inline Units fullest(const std::vector<Admitted>& log, Nanos window) {
    Units sum = 0, most = 0;
    std::size_t first = 0;
    for (std::size_t i = 0; i < log.size(); ++i) {
        sum += log[i].units;
        while (log[first].at <= log[i].at - window) sum -= log[first++].units;
        most = std::max(most, sum);
    }
    return most;
}

struct SimSettings {
    std::uint64_t seed = 1;
    std::size_t hosts = 4;
    Units limit = 100;
    Nanos window = std::chrono::seconds(6);
    router::FailMode fail_mode = router::FailMode::share;
    router::LeaseTiming timing{};
    double drift = 50e-6;  ///< of the hosts' clocks, at most
    Nanos skew = std::chrono::hours(1000);
    double lost = 0;                            ///< of messages, either way
    Nanos late = std::chrono::milliseconds(2);  ///< the most that a message takes
    Nanos deadline = std::chrono::milliseconds(200);  ///< of an exchange
};

class LeaseSimulation {
 public:
    explicit LeaseSimulation(const SimSettings& settings) : settings_(settings), random_(settings.seed) {
        for (std::size_t i = 0; i < settings.hosts; ++i) add_host();
        store_skew_ms_ = static_cast<std::int64_t>(random_() % 1'000'000'000);
    }

    // What happens, at true times.
    void at(Nanos time, std::function<void()> action) { events_.push({time, order_++, std::move(action)}); }

    /// Requests of `units` at `host`, `per_second` of them by chance, from `from` to `to`.
    void load(std::size_t host, double per_second, Nanos from, Nanos to, Units units = 1) {
        std::exponential_distribution<double> gap(per_second / 1e9);
        const Nanos next = from + Nanos(1 + static_cast<std::int64_t>(gap(random_)));
        if (next >= to) return;
        at(next, [=, this] {
            request(host, units);
            load(host, per_second, next, to, units);
        });
    }

    void once(std::size_t host, Nanos time, Units units = 1) {
        at(time, [=, this] { request(host, units); });
    }

    void stop_store() { store_up_ = false; }
    void start_store(bool empty) {
        store_up_ = true;
        if (empty) store_.lose_everything();
    }
    void save_store() { saved_ = store_; }
    /// With the data that it had when it was last saved.
    void start_store_as_saved() {
        store_up_ = true;
        store_.go_back_to(saved_);
    }
    void cut_off(std::size_t host, bool cut) { hosts_[host]->cut = cut; }
    /// Its processes die; the segment stays.
    void kill(std::size_t host) {
        hosts_[host]->dead = true;
        hosts_[host]->waiting.clear();
    }
    /// The processes of a dead host are started again, on the segment that it had or on a new one.
    void revive(std::size_t host, bool fresh) {
        Host& dead = *hosts_[host];
        if (!dead.dead || !dead.agent) return;
        dead.dead = false;
        if (fresh) {
            dead.lease = 0;
            dead.recent.clear();
            dead.contact = {};
            dead.id = ++ids_;
        }
        dead.start();
    }

    void run_until(Nanos end) {
        while (!events_.empty() && events_.top().time <= end) {
            const Event event = events_.top();
            events_.pop();
            now_ = event.time;
            event.action();
        }
        now_ = end;
    }

    Nanos now() const noexcept { return now_; }
    const std::vector<Admitted>& log() const noexcept { return log_; }
    std::uint64_t refused() const noexcept { return refused_; }
    std::uint64_t beats() const noexcept { return store_.executed(); }
    Units lease(std::size_t host) const { return hosts_[host]->lease; }
    shm::LeaseMode mode(std::size_t host) const { return hosts_[host]->agent->contact().mode; }
    std::uint64_t admitted_by(std::size_t host) const { return hosts_[host]->admitted; }

 private:
    struct Event {
        Nanos time;
        std::uint64_t order;
        std::function<void()> action;
        bool operator<(const Event& other) const {
            return time != other.time ? time > other.time : order > other.order;
        }
    };

    struct Host final : router::LeaseAccess {
        std::uint64_t id = 0;
        double rate = 1;
        Nanos offset{};
        bool cut = false;
        bool dead = false;
        Units lease = 0;
        Units charged = 0;
        Units wanted_units = 0;
        Units relieved = 0;
        std::deque<std::pair<std::uint64_t, Units>> waiting;  // by the request's number
        LeaseSimulation* sim = nullptr;
        Units admitted = 0;
        Nanos barren{};
        std::deque<Admitted> recent;  // by the host's clock
        Nanos window{};
        Units limit = 0;
        std::unique_ptr<router::LeaseHost> agent;
        shm::LeaseContact contact;
        std::uint64_t life = 0;  // of its processes
        std::uint64_t connection = 0;

        Nanos clock(Nanos now) const {
            return offset + Nanos(static_cast<std::int64_t>(static_cast<double>(now.count()) * rate));
        }
        Units used(Nanos now) {
            // As the segment's limiter: the window and up to a tick more.
            while (!recent.empty() && recent.front().at <= now - window - window / 62) recent.pop_front();
            Units sum = 0;
            for (const Admitted& one : recent) sum += one.units;
            return sum;
        }
        shm::LeaseReading read(std::size_t, Nanos now) override {
            return {limit, lease, used(now), charged, wanted_units, relieved};
        }
        std::uint64_t wanted(std::size_t) override { return wanted_units; }
        void set_lease(std::size_t, Units units, Nanos) override { lease = std::min(units, limit); }
        void set_barren(std::size_t, Nanos until) override { barren = until; }
        void raised() override { sim->look_again(*this); }

        void start() {
            router::LeaseRules rules;
            rules.host = id;
            rules.fail_mode = sim->settings_.fail_mode;
            rules.hosts_expected = sim->settings_.hosts;
            rules.timing = sim->settings_.timing;
            agent = std::make_unique<router::LeaseHost>(rules, *this, contact, clock(sim->now_));
            agent->add({0, "limit", window, false});
            ++life;
            ++connection;
            sim->poll(*this, life, true);
        }
    };

    void add_host() {
        auto host = std::make_unique<Host>();
        host->id = ++ids_;
        std::uniform_real_distribution<double> drift(-settings_.drift, settings_.drift);
        host->rate = 1 + drift(random_);
        host->offset = Nanos(
            1 + static_cast<std::int64_t>(random_() % static_cast<std::uint64_t>(settings_.skew.count())));
        host->window = settings_.window;
        host->limit = settings_.limit;
        host->sim = this;
        hosts_.push_back(std::move(host));
        Host* made = hosts_.back().get();
        at(Nanos(static_cast<std::int64_t>(random_() % 5'000'000)), [this, made] { made->start(); });
    }

    void poll(Host& host, std::uint64_t life, bool again) {
        if (host.dead || host.life != life) return;
        const Nanos here = host.clock(now_);
        const auto beat = host.agent->poll(here, 1 + random_() % 1'000'000'000'000);
        host.contact = host.agent->contact();
        if (beat) send(host, *beat);
        if (!again) return;
        const Nanos wait = std::max(host.agent->next_poll(here) - here, Nanos(1'000'000));
        at(now_ + wait, [this, &host, life] { poll(host, life, true); });
    }

    /// Not at the very start: a host that has never had contact is a case of its own.
    bool gets_lost() {
        const bool lost = std::uniform_real_distribution<double>(0, 1)(random_) < settings_.lost;
        return lost && now_ > std::chrono::seconds(1);
    }
    Nanos delay() {
        return Nanos(50'000 + static_cast<std::int64_t>(random_() %
                                                        static_cast<std::uint64_t>(settings_.late.count())));
    }

    void send(Host& host, const Beat& beat) {
        const std::uint64_t life = host.life, connection = host.connection;
        // A message that is lost may be one that stands in a buffer and comes after all, much later.
        const bool lost = host.cut || !store_up_ || gets_lost();
        const Nanos arrives = now_ + (lost ? delay() * 400 : delay());
        at(arrives, [=, this, &host] {
            if (!store_up_ || host.cut) return;
            const auto clock = now_ / std::chrono::milliseconds(1) + store_skew_ms_;
            const BeatAnswer answer = store_.execute(beat, clock);
            if (gets_lost()) return;
            at(now_ + delay(), [=, this, &host] {
                if (host.dead || host.life != life || host.connection != connection || host.cut) return;
                ++host.connection;
                host.agent->answered(answer, host.clock(now_));
                host.contact = host.agent->contact();
                poll(host, life, false);
            });
        });
        at(now_ + settings_.deadline, [=, this, &host] {
            if (host.dead || host.life != life || host.connection != connection) return;
            ++host.connection;
            host.agent->failed(host.clock(now_));
            host.contact = host.agent->contact();
        });
    }

    void request(std::size_t number, Units units) {
        Host& host = *hosts_[number];
        if (host.dead || !host.agent) return;
        const Nanos here = host.clock(now_);
        // Any process that decides finds a lease that has run out, should the coordinator be asleep.
        if (host.contact.mode == shm::LeaseMode::shared && here >= host.contact.until)
            poll(host, host.life, false);
        if (try_admit(host, units, here)) return;
        host.wanted_units += units;
        if (here < host.barren) {
            host.relieved += units;
            ++refused_;
            return;
        }
        const std::uint64_t request = ++requests_;
        host.waiting.emplace_back(request, units);
        host.agent->somebody_waits();
        poll(host, host.life, false);
        at(now_ + settings_.timing.patience, [=, this, &host] {
            const auto mine = std::find_if(host.waiting.begin(), host.waiting.end(),
                                           [=](const auto& other) { return other.first == request; });
            if (mine == host.waiting.end()) return;
            if (!try_admit(host, units, host.clock(now_))) ++refused_;
            host.relieved += units;
            host.waiting.erase(mine);
        });
    }

    void look_again(Host& host) {
        const Nanos here = host.clock(now_);
        std::erase_if(host.waiting, [&](const auto& request) {
            const bool admitted = try_admit(host, request.second, here);
            if (!admitted && here < host.barren) ++refused_;
            if (admitted || here < host.barren) host.relieved += request.second;
            return admitted || here < host.barren;
        });
    }

    bool try_admit(Host& host, Units units, Nanos here) {
        if (host.used(here) + units > host.lease) return false;
        host.recent.push_back({here, units});
        host.charged += units;
        host.admitted += units;
        log_.push_back({now_, units});
        return true;
    }

    SimSettings settings_;
    std::mt19937_64 random_;
    LeaseStore store_;
    LeaseStore saved_;
    std::int64_t store_skew_ms_ = 0;
    bool store_up_ = true;
    std::uint64_t ids_ = 100;
    std::uint64_t order_ = 0;
    Nanos now_{};
    std::priority_queue<Event> events_;
    std::vector<std::unique_ptr<Host>> hosts_;
    std::vector<Admitted> log_;
    std::uint64_t refused_ = 0;
    std::uint64_t requests_ = 0;
};

}  // namespace weir::test
