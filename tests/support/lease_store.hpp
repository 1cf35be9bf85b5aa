// The lease script in C++: what Redis does with a beat, for simulations in virtual time.
//
// It follows router/redis/lease_script.cpp line by line; lease_script_test compares the two over random
// beats.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <string>

#include "router/redis/lease_message.hpp"

namespace weir::test {

class LeaseStore {
 public:
    router::BeatAnswer execute(const router::Beat& beat, std::int64_t clock_ms) {
        ++executed_;
        now_ = std::max(clock_ms, latest_);
        latest_ = now_;
        const auto found = hosts_.find(beat.host);
        bool known = found != hosts_.end();
        bool gone_back = false;
        if (beat.claimed == incarnation_) {
            gone_back = beat.acked > 0 && (known ? beat.acked > found->second.sequence
                                                 : beat.silence_ms < beat.lease_ms + widest_);
        } else if (beat.claimed != 0) {
            gone_back = now_ - beat.silence_ms > young_ - beat.lease_ms - beat.margin_ms;
        }
        if (incarnation_ == 0) {
            incarnation_ = beat.nonce;
            young_ = now_ + beat.lease_ms + beat.margin_ms;
            counted_ = 0;
        } else if (gone_back) {
            hosts_.clear();
            known = false;
            incarnation_ = beat.nonce;
            young_ = lost_ = now_ + beat.lease_ms + beat.margin_ms;
            counted_ = 0;
        }
        if (beat.claimed != 0 && beat.claimed != incarnation_) lost_ = std::max(lost_, young_);
        router::BeatAnswer answer;
        answer.incarnation = incarnation_;
        answer.hosts = live_;
        answer.status = router::BeatAnswer::Status::unknown;
        const bool over = !known || found->second.ends <= now_ || found->second.unfinished;
        if (beat.claimed != incarnation_ || (!beat.registering && over)) return answer;
        answer.status = router::BeatAnswer::Status::stale;
        if (known && beat.sequence <= found->second.sequence) return answer;
        answer.status = router::BeatAnswer::Status::granted;

        if (beat.failed) alone_ = std::max(alone_, now_ + beat.lease_ms + beat.margin_ms);
        for (const auto& report : beat.reports) widest_ = std::max(widest_, report.window_ms);
        Host& host = hosts_[beat.host];
        host.ends = now_ + beat.lease_ms + beat.margin_ms;
        host.sequence = beat.sequence;
        if (beat.registering) host.epoch = beat.epoch;
        host.unfinished = beat.more;
        const bool troubled = now_ < young_ || now_ < std::max(lost_, alone_) + widest_;
        const auto pause = troubled ? std::min<std::uint64_t>(live_, 1000) : 1000;
        if (now_ >= counted_ + static_cast<std::int64_t>(pause)) count(beat);
        answer.hosts = live_;
        for (const auto& report : beat.reports) answer.leases.push_back(grant(beat, report));
        return answer;
    }

    /// As a server that is started again without its data.
    void lose_everything() { *this = LeaseStore(executed_); }

    /// As a server that is started again with what it had saved earlier, or a replica that lags behind.
    void go_back_to(const LeaseStore& saved) {
        const std::uint64_t executed = executed_;
        *this = saved;
        executed_ = executed;
    }

    std::uint64_t executed() const noexcept { return executed_; }

    LeaseStore() = default;

 private:
    struct Host {
        std::int64_t ends = 0;
        std::uint64_t sequence = 0;
        std::uint64_t epoch = 0;
        bool unfinished = false;  // it is registering
    };
    struct Part {
        double charge = 0;
        double demand = 0;
        std::uint64_t epoch = 0;
    };
    struct Limit {
        double charges = 0;
        double demands = 0;
        std::int64_t swept = 0;
        std::map<std::uint64_t, Part> parts;
    };

    explicit LeaseStore(std::uint64_t executed) : executed_(executed) {}

    void count(const router::Beat& beat) {
        live_ = 0;
        counted_ = now_;
        std::erase_if(hosts_, [&](const auto& entry) {
            const std::int64_t ends = entry.second.ends;
            if (ends > now_ && !entry.second.unfinished) ++live_;
            return ends + widest_ + beat.margin_ms <= now_;
        });
    }

    void sweep(Limit& limit, std::int64_t window) {
        limit.charges = limit.demands = 0;
        for (auto part = limit.parts.begin(); part != limit.parts.end();) {
            const auto host = hosts_.find(part->first);
            const bool known = host != hosts_.end();
            const std::int64_t ends = known ? host->second.ends : 0;
            const bool untold = known && part->second.epoch < host->second.epoch && !host->second.unfinished;
            const bool gone =
                known ? ends + window <= now_ || untold : now_ >= young_ && now_ >= lost_ + window;
            if (gone) {
                part = limit.parts.erase(part);
                continue;
            }
            if (known && ends <= now_) part->second.demand = 0;
            limit.charges += part->second.charge;
            limit.demands += part->second.demand;
            ++part;
        }
    }

    static double fair(double full, double demand, double demands) {
        return demands <= full ? full : std::ceil(full * demand / demands);
    }

    shm::Units grant(const router::Beat& beat, const router::LeaseReport& report) {
        Limit& limit = limits_[report.key];
        const auto full = static_cast<double>(report.full), hold = static_cast<double>(report.hold);
        const auto used = static_cast<double>(report.used), demand = static_cast<double>(report.demand);
        const auto need = static_cast<double>(report.need), ask = static_cast<double>(report.ask);
        const Part before = limit.parts.contains(beat.host) ? limit.parts[beat.host] : Part{};
        const double charge = std::max(hold, used);
        limit.charges = std::max(limit.charges + charge - before.charge, charge);
        limit.demands = std::max(limit.demands + demand - before.demand, demand);
        const std::uint64_t epoch = hosts_[beat.host].epoch;
        limit.parts[beat.host] = {charge, demand, epoch};

        const bool complete = live_ >= beat.hosts_expected;
        double cap = full;
        if (beat.more || (now_ < lost_ + report.window_ms && !complete)) {
            cap = hold;
        } else if ((now_ < young_ || now_ < alone_ + report.window_ms) && !complete) {
            const auto hosts = static_cast<double>(std::max<std::uint64_t>(beat.hosts_expected, 1));
            cap = std::max(hold, std::floor(full / hosts));
        }
        const double least = std::min(need, cap);
        if (least > hold && least > charge + full - limit.charges && now_ >= limit.swept + 1000) {
            sweep(limit, report.window_ms);
            limit.swept = now_;
        }
        const double share = fair(full, demand, limit.demands);
        const double room = std::max(full - limit.charges, 0.0);
        double granted = std::max(hold, std::min({need, cap, charge + room}));
        const double left = room - (std::max(granted, charge) - charge);
        const double wished = std::min({ask, cap, share});
        if (wished > granted) {
            granted = std::max(granted, std::min(wished, std::max(granted, charge) + std::floor(left / 2)));
        } else if (share + full / 32 < hold && left < std::max(1.0, full / 50) && cap == full) {
            granted = share;
        }
        const double charged = std::max(granted, charge);
        limit.charges += charged - charge;
        limit.parts[beat.host] = {charged, demand, epoch};
        if (charged == 0 && demand == 0) limit.parts.erase(beat.host);
        if (limit.charges == 0 && limit.demands == 0) limits_.erase(report.key);
        return static_cast<shm::Units>(granted);
    }

    std::uint64_t executed_ = 0;
    std::int64_t now_ = 0;
    std::int64_t latest_ = 0;
    std::uint64_t incarnation_ = 0;
    std::int64_t young_ = 0;
    std::int64_t lost_ = 0;
    std::int64_t alone_ = 0;
    std::int64_t widest_ = 0;
    std::uint64_t live_ = 0;
    std::int64_t counted_ = 0;
    std::map<std::uint64_t, Host> hosts_;
    std::map<std::string, Limit> limits_;
};

}  // namespace weir::test
