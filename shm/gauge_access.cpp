#include "shm/gauge_access.hpp"

#include "shm/participant_impl.hpp"

namespace weir::shm {

namespace {

Hold take_slot(ParticipantImpl& me, GaugeRecord& gauge, Nanos now) noexcept {
    const GaugeCells::View cells = me.segment->cells(gauge);
    const Hold hold = take_once(cells, gauge, me.slot, me.contention.retries);
    if (hold != Hold::full || now - me.blocked_at < std::chrono::milliseconds(100)) return hold;
    me.blocked_at = now;
    unsigned reaped = 0;
    for (std::uint32_t slot = 0; slot < me.segment->geometry().participants; ++slot) {
        if (GaugeCells::share(cells, slot) != 0 && me.segment->reap_slot(slot)) ++reaped;
    }
    return reaped == 0 ? hold : take_once(cells, gauge, me.slot, me.contention.retries);
}

}  // namespace

std::optional<Refused> hold_slot(ParticipantImpl& me, const Gauge& gauge, Nanos now) noexcept {
    if (!lives(gauge)) return Refused::evicted;
    const Hold hold = take_slot(me, *gauge.record, now);
    // Whoever evicts changes `life` and then `total`: one who takes a slot after that sees it here, and one
    // who has taken it before is seen by the evictor, who then lets the gauge be.
    if (!lives(gauge)) {
        if (hold == Hold::taken) {
            GaugeCells::drop(me.segment->cells(*gauge.record), me.slot, me.contention.retries);
        }
        return Refused::evicted;
    }
    if (hold == Hold::taken) return std::nullopt;
    return hold == Hold::full ? Refused::in_flight : Refused::corrupt;
}

}  // namespace weir::shm
