// The C API over the C++ one: checks what comes in, catches what would go out.
#include <algorithm>
#include <array>
#include <cstdio>
#include <deque>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "shm/gauge_access.hpp"
#include "shm/segment.hpp"
#include "shm/segment_impl.hpp"
#include "shm/weir.h"
#include "shm/window_access.hpp"

namespace shm = weir::shm;

/// An open segment.
struct weir_segment {
    shm::Segment segment;
    std::shared_ptr<shm::SegmentImpl> first;  // that was opened: others may have followed since
};

/// One participant and its tickets. A ticket's number is its place in `tickets` + 1, with the
/// place's generation above it, so that a number that was closed is told apart from the next.
struct weir_actor {
    struct Place {
        shm::Ticket ticket;
        std::uint32_t generation = 0;
        std::uint8_t charges_count = 0;
    };

    std::shared_ptr<shm::SegmentImpl> first;  // as the segment's
    std::deque<Place> tickets;
    std::vector<std::uint32_t> free_places;
    shm::Participant me;

    ~weir_actor() { tickets.clear(); }  // no ticket may outlive its participant
};

namespace {

constexpr std::uint64_t kLimiterKind = 1;
constexpr std::uint64_t kGaugeKind = 2;

thread_local std::array<char, 512> last_error{};

int failed(int status, const char* message) noexcept {
    std::snprintf(last_error.data(), last_error.size(), "%s", message);
    return status;
}

int status_of(shm::Attach reason) noexcept {
    switch (reason) {
        case shm::Attach::attached:
            return WEIR_OK;
        case shm::Attach::not_there:
            return WEIR_ERR_NOT_THERE;
        case shm::Attach::too_short:
            return WEIR_ERR_TOO_SHORT;
        case shm::Attach::not_ready:
            return WEIR_ERR_NOT_READY;
        case shm::Attach::other_layout:
            return WEIR_ERR_LAYOUT;
        case shm::Attach::other_boot:
            return WEIR_ERR_BOOT;
        case shm::Attach::other_clock:
            return WEIR_ERR_CLOCK;
        case shm::Attach::no_space:
            return WEIR_ERR_NO_SPACE;
        case shm::Attach::no_permission:
            return WEIR_ERR_PERMISSION;
        case shm::Attach::bad_name:
            return WEIR_ERR_NAME;
        case shm::Attach::unknown_boot:
            return WEIR_ERR_BOOT_UNKNOWN;
        case shm::Attach::not_a_file:
            return WEIR_ERR_NOT_A_FILE;
        case shm::Attach::failed:
            break;
    }
    return WEIR_ERR_SYSTEM;
}

int status_of(shm::Refused reason) noexcept {
    switch (reason) {
        case shm::Refused::over_limit:
            return WEIR_OVER_LIMIT;
        case shm::Refused::never_fits:
            return WEIR_NEVER_FITS;
        case shm::Refused::in_flight:
            return WEIR_IN_FLIGHT;
        case shm::Refused::evicted:
            return WEIR_EVICTED;
        case shm::Refused::corrupt:
            break;
    }
    return WEIR_CORRUPT;
}

/// Runs `action`; no exception gets past it.
template <class Action>
int guarded(const Action& action) noexcept {
    try {
        return action();
    } catch (const shm::SegmentError& error) {
        return failed(status_of(error.reason()), error.what());
    } catch (const shm::DirectoryFull& error) {
        return failed(WEIR_ERR_FULL, error.what());
    } catch (const std::invalid_argument& error) {
        return failed(WEIR_ERR_ARGUMENT, error.what());
    } catch (const std::bad_alloc&) {
        return failed(WEIR_ERR_MEMORY, "out of memory");
    } catch (const std::exception& error) {
        return failed(WEIR_ERR_SYSTEM, error.what());
    } catch (...) {
        return failed(WEIR_ERR_SYSTEM, "unknown error");
    }
}

int null_pointer() noexcept {
    return failed(WEIR_ERR_ARGUMENT, "a pointer is null that must not be");
}

/// The segment that counts now, of those that followed one another under a name.
shm::SegmentImpl& latest(const shm::SegmentImpl& first) noexcept {
    auto* at = const_cast<shm::SegmentImpl*>(&first);
    while (shm::SegmentImpl* next = at->next()) at = next;
    return *at;
}

/// WEIR_OK unless this process is a child of the one that opened the segment, or the segment's file was found
/// truncated: then nothing of it may be touched any more.
int check_usable(const shm::SegmentImpl& first) noexcept {
    const shm::SegmentImpl& impl = latest(first);
    if (!impl.ours()) {
        return failed(WEIR_ERR_FORKED,
                      "opened by the parent process; after fork() the child must open and join for itself");
    }
    return impl.broken() ? WEIR_CORRUPT : WEIR_OK;
}

// A handle's first word: record | kind << 32 | tag of the segment << 48. The second is its life.

/// Tells handles of different segments apart; not 0.
std::uint64_t tag_of(const shm::SegmentImpl& impl) noexcept {
    // ORDER(parameters): written before the segment was ready.
    const std::uint64_t created = impl.header().created.load(std::memory_order_relaxed);
    return ((created >> 10 ^ created >> 26) & 0x7fff) | 0x8000;
}

std::uint64_t packed(const shm::SegmentImpl& impl, std::uint64_t kind, std::size_t record) {
    return record | kind << 32 | tag_of(impl) << 48;
}

/// The record that a handle names in this segment, or in one that was left for it, if it can name one at all.
struct Named {
    const shm::SegmentImpl* segment;
    std::uint32_t record;
};
std::optional<Named> record_of(const shm::SegmentImpl& first, std::uint64_t word, std::uint64_t kind,
                               shm::Table table) noexcept {
    const std::uint64_t record = word & 0xffff'ffff;
    for (const shm::SegmentImpl* impl = &first; impl != nullptr; impl = impl->next()) {
        if (impl->broken() || word != packed(*impl, kind, record)) continue;
        if (record < impl->table(table).count) return Named{impl, static_cast<std::uint32_t>(record)};
    }
    failed(WEIR_ERR_ARGUMENT, "a handle names nothing in this segment");
    return {};
}

std::optional<shm::Limiter> limiter_of(const shm::SegmentImpl& impl, const weir_limiter_t& handle) noexcept {
    const auto named = record_of(impl, handle.word[0], kLimiterKind, shm::Table::windows);
    if (!named) return {};
    return shm::Limiter{&named->segment->window(named->record), handle.word[1]};
}

std::optional<shm::Gauge> gauge_of(const shm::SegmentImpl& impl, const weir_gauge_t& handle) noexcept {
    const auto named = record_of(impl, handle.word[0], kGaugeKind, shm::Table::gauges);
    if (!named) return std::nullopt;
    return shm::Gauge{&named->segment->gauge(named->record), handle.word[1]};
}

/// A demand read from the caller's arrays.
struct DemandCopy {
    std::array<shm::Charge, shm::kScopesMax> charges;
    std::array<shm::Gauge, shm::kScopesMax> holds;
    shm::Demand demand;

    int read(const shm::SegmentImpl& impl, const weir_charge_t* from, std::size_t charges_count,
             const weir_gauge_t* held, std::size_t holds_count) noexcept {
        if ((from == nullptr && charges_count != 0) || (held == nullptr && holds_count != 0)) {
            return null_pointer();
        }
        if (charges_count > shm::kScopesMax || holds_count > shm::kScopesMax) {
            return failed(WEIR_ERR_ARGUMENT, "more charges or holds than weir_scopes_max()");
        }
        for (std::size_t i = 0; i < charges_count; ++i) {
            const auto limiter = limiter_of(impl, from[i].limiter);
            if (!limiter) return WEIR_ERR_ARGUMENT;
            charges[i] = {*limiter, from[i].units};
        }
        for (std::size_t i = 0; i < holds_count; ++i) {
            const auto gauge = gauge_of(impl, held[i]);
            if (!gauge) return WEIR_ERR_ARGUMENT;
            holds[i] = *gauge;
        }
        demand = {{charges.data(), charges_count}, {holds.data(), holds_count}};
        return WEIR_OK;
    }
};

/// Why a limiter says nothing.
int gone_or_garbage(const shm::Limiter& limiter) noexcept {
    return shm::still_lives(*limiter.record, limiter.generation) ? WEIR_CORRUPT : WEIR_EVICTED;
}

/// Why less than `units` was charged whatever the limit says.
int short_of(const shm::Limiter& limiter, shm::Units units) noexcept {
    const bool held = units > shm::StandardWindow::kUnitsMax;
    return held && shm::still_lives(*limiter.record, limiter.generation) ? WEIR_OK : gone_or_garbage(limiter);
}

/// Why no waiting lets `demand` pass.
int why_never(const shm::Participant& me, const shm::Demand& demand, shm::Nanos now) noexcept {
    for (const shm::Charge& charge : demand.charges) {
        const shm::Units limit = me.usage(charge.limiter, now).limit;
        if (limit == 0) return gone_or_garbage(charge.limiter);
        shm::Units left = limit;
        for (const shm::Charge& other : demand.charges) {
            if (other.limiter.record != charge.limiter.record) continue;
            if (other.units > left) return WEIR_NEVER_FITS;
            left -= other.units;
        }
    }
    const auto gone = [](const shm::Gauge& gauge) { return !shm::lives(gauge); };
    if (std::any_of(demand.holds.begin(), demand.holds.end(), gone)) return WEIR_EVICTED;
    return demand.holds.empty() ? WEIR_CORRUPT : WEIR_IN_FLIGHT;
}

weir_actor::Place* place_of(weir_actor* actor, weir_ticket_t number) noexcept {
    const std::uint64_t place = (number & 0xffff'ffff) - 1;
    if (place < actor->tickets.size() && actor->tickets[place].generation == number >> 32 &&
        actor->tickets[place].ticket) {
        return &actor->tickets[place];
    }
    failed(WEIR_ERR_TICKET, "no such ticket: closed already, or another actor's");
    return nullptr;
}

void close_place(weir_actor* actor, weir_actor::Place& place, weir_ticket_t number) noexcept {
    place.ticket.close();
    ++place.generation;
    // Never allocates: there is room for every place since it was made.
    actor->free_places.push_back(static_cast<std::uint32_t>(number & 0xffff'ffff) - 1);
}

/// Makes sure that there is a free place. The only allocation of an admission, and only when more
/// tickets are open than ever before.
void reserve_place(weir_actor& actor) {
    if (!actor.free_places.empty()) return;
    if (actor.tickets.size() >= 0xffff'fffe) throw std::bad_alloc();
    actor.free_places.reserve(actor.tickets.size() * 2 + 16);
    actor.tickets.emplace_back();
    actor.free_places.push_back(static_cast<std::uint32_t>(actor.tickets.size() - 1));
}

shm::SegmentOptions options_of(const char* name, const weir_options_t* options) {
    shm::SegmentOptions result;
    result.name = name;
    if (options == nullptr) return result;
    if (options->struct_bytes < sizeof(weir_options_t)) {
        throw std::invalid_argument("struct_bytes: must be sizeof(weir_options_t)");
    }
    if (options->segment_bytes != 0) result.size_bytes = options->segment_bytes;
    if (options->group != nullptr) result.group = options->group;
    if (options->wait_ms != 0) result.wait_max = std::chrono::milliseconds(options->wait_ms);
    return result;
}

shm::LimiterName limiter_name(const char* scope, const char* name, int unit, std::uint64_t window_ms) {
    if (unit < WEIR_REQUESTS || unit > WEIR_OUTPUT_TOKENS) {
        throw std::invalid_argument("unit: unknown");
    }
    constexpr std::uint64_t kWindowMax = 366ull * 24 * 3600 * 1000;
    if (window_ms > kWindowMax) throw std::invalid_argument("window: longer than 366 days");
    return {scope, name, static_cast<shm::Unit>(unit),
            std::chrono::milliseconds(static_cast<std::int64_t>(window_ms))};
}

}  // namespace

extern "C" {

const char* weir_version(void) {
    return WEIR_VERSION;
}

const char* weir_last_error(void) {
    return last_error.data();
}

int weir_open(const char* name, const weir_options_t* options, weir_segment_t** segment) {
    if (name == nullptr || segment == nullptr) return null_pointer();
    *segment = nullptr;
    return guarded([&] {
        shm::Segment opened = shm::Segment::open(options_of(name, options));
        auto impl = shm::SegmentAccess::impl(opened);
        *segment = new weir_segment{std::move(opened), std::move(impl)};
        return WEIR_OK;
    });
}

void weir_close(weir_segment_t* segment) {
    delete segment;
}

int weir_remove(const char* name) {
    if (name == nullptr) return null_pointer();
    return guarded([&]() -> int {
        if (shm::Segment::remove(name)) return WEIR_OK;
        return failed(WEIR_ERR_NOT_THERE, "there is no segment of that name");
    });
}

int weir_join(weir_segment_t* segment, const char* role, weir_actor_t** actor) {
    if (segment == nullptr || role == nullptr || actor == nullptr) return null_pointer();
    *actor = nullptr;
    if (const int status = check_usable(*segment->first)) return status;
    return guarded([&] {
        auto made = std::make_unique<weir_actor>();
        made->first = segment->first;
        made->me = segment->segment.join(role);
        *actor = made.release();
        return WEIR_OK;
    });
}

void weir_leave(weir_actor_t* actor) {
    delete actor;
}

int weir_limiter(weir_segment_t* segment, const char* scope, const char* name, int unit,
                 uint64_t window_ms, uint64_t limit, weir_limiter_t* limiter) {
    if (!segment || !scope || !name || !limiter) return null_pointer();
    *limiter = {};
    if (const int status = check_usable(*segment->first)) return status;
    return guarded([&] {
        const shm::Limiter made =
            segment->segment.common_limiter(limiter_name(scope, name, unit, window_ms), limit);
        const shm::SegmentImpl& impl = latest(*segment->first);
        *limiter = {{packed(impl, kLimiterKind, impl.index_of(*made.record)), made.generation}};
        return WEIR_OK;
    });
}

int weir_gauge(weir_segment_t* segment, const char* scope, const char* name, uint64_t max,
               weir_gauge_t* gauge) {
    if (!segment || !scope || !name || !gauge) return null_pointer();
    *gauge = {};
    if (const int status = check_usable(*segment->first)) return status;
    return guarded([&] {
        const shm::Gauge made = segment->segment.common_gauge(scope, name, max);
        const shm::SegmentImpl& impl = latest(*segment->first);
        const auto offset =
            reinterpret_cast<const std::byte*>(made.record) - impl.table(shm::Table::gauges).records;
        const auto record = static_cast<std::uint64_t>(offset) / impl.geometry().gauge_stride;
        *gauge = {{packed(impl, kGaugeKind, record), made.generation}};
        return WEIR_OK;
    });
}

size_t weir_scopes_max(void) {
    return shm::kScopesMax;
}

int weir_admit(weir_actor_t* actor, const weir_charge_t* charges, size_t charges_count,
               const weir_gauge_t* holds, size_t holds_count, weir_ticket_t* ticket,
               size_t* refused_by) {
    if (actor == nullptr || ticket == nullptr) return null_pointer();
    *ticket = 0;
    if (const int status = check_usable(*actor->first)) return status;
    DemandCopy copy;
    if (const int status = copy.read(*actor->first, charges, charges_count, holds, holds_count)) {
        return status;
    }
    return guarded([&]() -> int {
        reserve_place(*actor);
        shm::Admission admission = actor->me.admit(copy.demand, shm::now());
        if (!admission.admitted()) {
            const shm::Refusal& refusal = admission.refusal;
            if (refused_by != nullptr) {
                *refused_by = refusal.index + (refusal.in_holds ? charges_count : 0);
            }
            return status_of(refusal.reason);
        }
        const std::uint32_t place = actor->free_places.back();
        actor->free_places.pop_back();
        actor->tickets[place].ticket = std::move(admission.ticket);
        actor->tickets[place].charges_count = static_cast<std::uint8_t>(charges_count);
        *ticket = std::uint64_t{actor->tickets[place].generation} << 32 | (place + 1);
        return WEIR_OK;
    });
}

int weir_retry_after(weir_actor_t* actor, const weir_charge_t* charges, size_t charges_count,
                     const weir_gauge_t* holds, size_t holds_count, uint64_t* nanoseconds) {
    if (actor == nullptr || nanoseconds == nullptr) return null_pointer();
    *nanoseconds = 0;
    if (const int status = check_usable(*actor->first)) return status;
    DemandCopy copy;
    if (const int status = copy.read(*actor->first, charges, charges_count, holds, holds_count)) {
        return status;
    }
    const shm::Nanos now = shm::now();
    const auto earliest = actor->me.earliest(copy.demand, now);
    if (!earliest) return why_never(actor->me, copy.demand, now);
    *nanoseconds = static_cast<std::uint64_t>((*earliest - now).count());
    return WEIR_OK;
}

int weir_settle(weir_actor_t* actor, weir_ticket_t ticket, size_t index, uint64_t actual) {
    if (actor == nullptr) return null_pointer();
    if (const int status = check_usable(*actor->first)) return status;
    weir_actor::Place* place = place_of(actor, ticket);
    if (place == nullptr) return WEIR_ERR_TICKET;
    if (index >= place->charges_count) {
        return failed(WEIR_ERR_ARGUMENT, "index: the ticket has fewer charges");
    }
    const shm::Units charged = place->ticket.settle(index, actual, shm::now());
    return charged < actual ? short_of(place->ticket.limiter(index), actual) : WEIR_OK;
}

int weir_cancel(weir_actor_t* actor, weir_ticket_t ticket) {
    if (actor == nullptr) return null_pointer();
    if (const int status = check_usable(*actor->first)) return status;
    weir_actor::Place* place = place_of(actor, ticket);
    if (place == nullptr) return WEIR_ERR_TICKET;
    place->ticket.cancel(shm::now());
    close_place(actor, *place, ticket);
    return WEIR_OK;
}

int weir_ticket_close(weir_actor_t* actor, weir_ticket_t ticket) {
    if (actor == nullptr) return null_pointer();
    if (const int status = check_usable(*actor->first)) return status;
    weir_actor::Place* place = place_of(actor, ticket);
    if (place == nullptr) return WEIR_ERR_TICKET;
    close_place(actor, *place, ticket);
    return WEIR_OK;
}

int weir_add(weir_actor_t* actor, weir_limiter_t limiter, uint64_t units) {
    if (actor == nullptr) return null_pointer();
    if (const int status = check_usable(*actor->first)) return status;
    const auto found = limiter_of(*actor->first, limiter);
    if (!found) return WEIR_ERR_ARGUMENT;
    const shm::Nanos now = shm::now();
    const shm::Units charged = actor->me.charge(*found, units, now);
    return charged < units ? short_of(*found, units) : WEIR_OK;
}

int weir_look(weir_segment_t* segment, weir_limiter_t limiter, weir_usage_t* usage) {
    if (segment == nullptr || usage == nullptr) return null_pointer();
    *usage = {};
    if (const int status = check_usable(*segment->first)) return status;
    const auto found = limiter_of(*segment->first, limiter);
    if (!found) return WEIR_ERR_ARGUMENT;
    const shm::LimiterUsage seen = shm::Participant().usage(*found, shm::now());
    if (seen.limit == 0) return gone_or_garbage(*found);
    *usage = {seen.limit, seen.used, seen.remaining, static_cast<std::uint64_t>(seen.resets_in.count())};
    return WEIR_OK;
}

int weir_in_flight(weir_segment_t* segment, weir_gauge_t gauge, uint64_t* count) {
    if (segment == nullptr || count == nullptr) return null_pointer();
    *count = 0;
    if (const int status = check_usable(*segment->first)) return status;
    const auto found = gauge_of(*segment->first, gauge);
    if (!found) return WEIR_ERR_ARGUMENT;
    *count = shm::Participant().in_flight(*found);
    return WEIR_OK;
}

int weir_reap(weir_actor_t* actor, unsigned* died) {
    if (actor == nullptr) return null_pointer();
    if (died != nullptr) *died = 0;
    if (const int status = check_usable(*actor->first)) return status;
    const unsigned count = actor->me.reap(shm::now());
    if (died != nullptr) *died = count;
    return WEIR_OK;
}

}  // extern "C"
