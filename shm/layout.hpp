// The byte map of a segment: the records, where they lie, and the fingerprint that proves that two
// programs mean the same by them. docs/design/segment.md draws the map and gives the reasons.
//
//   0 ............ Header                        one page
//   4096 ......... participants[participants]    ParticipantRecord, 256 B
//   .............. rings[participants]           ring_records * RingRecord, 32 B
//   .............. window index                  words, twice the windows, a power of two
//   .............. gauge, health, ... index      the same for each table
//   .............. gauges[gauges]                GaugeRecord + one Word per participant
//   .............. healths[healths]              HealthRecord, 640 B
//   .............. counters[counters]            CounterRecord, 512 B
//   .............. lines[lines]                  LineRecord + one Word per participant
//   .............. windows[windows]              WindowRecord, 1408 B, all that is left
//
// Every shared datum is a Word (word.hpp): zero bytes are valid, and there is nothing to construct.
// The geometry is a pure function of the segment's size. A program computes it for itself and never
// indexes with a number that it has read from the segment without checking it.
//
// Thread safety: types and pure functions only.
#pragma once

#include <cstddef>
#include <cstdint>

#include "shm/lease.hpp"
#include "shm/life.hpp"
#include "shm/parameter.hpp"
#include "shm/tick_scale.hpp"
#include "shm/window.hpp"
#include "shm/word.hpp"

namespace weir::shm {

/// Raised by hand when the meaning of bytes changes without their sizes or offsets changing.
inline constexpr std::uint64_t kLayoutVersion = 7;

/// "WEIRSEG1" as a little-endian word.
inline constexpr std::uint64_t kMagic = 0x3147'4553'5249'4557;

/// What the header's `ready` word holds once everything before it is valid.
inline constexpr std::uint64_t kReady = 0x5941'4552'5249'4557;

inline constexpr std::size_t kPageBytes = 4096;
inline constexpr std::uint64_t kSegmentBytesMin = std::uint64_t{1} << 20;
inline constexpr std::uint64_t kSegmentBytesMax = std::uint64_t{1} << 40;

/// The tables that a directory (directory.hpp) keeps.
enum class Table : std::uint8_t { windows, gauges, healths, counters, lines };
inline constexpr std::size_t kTables = 5;

/// Weir's own counters, in the order of counters.def.
enum class OwnCounter : std::uint8_t {
#define WEIR_COUNTER(id, unit, help) id,
#include "shm/counters.def"
#undef WEIR_COUNTER
    count
};
inline constexpr std::size_t kOwnCounters = static_cast<std::size_t>(OwnCounter::count);

/// What one table keeps about itself; written under the directory lock only.
struct TableRecord {
    Word fresh;       // records that have ever been used; those behind have never been
    Word hand;        // where the search for an idle record goes on
    Word full_until;  // until this time (ns) a search found nothing to evict and need not be
                      // repeated
    Word evictions;
};

/// How this host's contact with the others stands; written by the coordinating process, but for `mode`,
/// which anybody sets when the lease has run out.
struct alignas(64) LeaseContactRecord {
    Word mode;         // LeaseMode
    Word until;        // the lease's end, ns of CLOCK_MONOTONIC; 0: there has never been one
    Word answered;     // when the last exchange that was answered began, ns
    Word incarnation;  // of the store's data
    Word sequence;     // of the last exchange that was answered
    Word hosts;        // live hosts, as the store counts them
    Word sent;         // sequence of the last exchange that was begun
    Word seen;         // when a coordinator was last at work, ns
};

/// A limit that hosts share: what it allows them together. The record's own limit is this host's part.
struct LeaseWords {
    Word full;          // a Parameter; 0: not shared
    Word wanted;        // units that requests have begun to wait for, ever growing
    Word relieved;      // units that requests have ceased to wait for, whatever came of it
    Word barren_until;  // until then nobody expects more, ns
};

/// What all hosts together may use of a shared limit; 0 if it is not shared.
inline std::uint64_t full_of(const LeaseWords& lease) noexcept {
    // ORDER(limit): a parameter on its own
    return Parameter<>::value_of(lease.full.load(std::memory_order_relaxed));
}

/// Which participants wait for anything (lines.hpp): a bit for each. Apart from what changes often, for
/// every request looks at it.
struct alignas(64) WaitingRecord {
    static constexpr std::uint32_t kParticipantsMax = 512;
    Word bits[kParticipantsMax / 64];
};

/// The first page. `ready` is stored last, with release, when the rest is valid.
struct Header {
    Word magic;
    Word fingerprint;
    Word version;  // kLayoutVersion, for messages
    Word size_bytes;
    Word boot_id[2];  // /proc/sys/kernel/random/boot_id
    Word clock_id;    // inode of /proc/self/ns/time
    Word created;     // CLOCK_MONOTONIC, ns
    Word creator_pid;
    Word program[4];  // the creator's Weir version as text
    Word ready;
    Word work;  // what a holder of the directory lock is at: (table << 32 | record) + 1; 0 is
                // nothing
    Word reserved;
    TableRecord tables[kTables];
    Word own[kOwnCounters];  // events that belong to no participant
    Word lease_guard;        // the end of the host's lease, ns; 0: none is running
    Word lease_grants;       // counts raised leases
    Word lease_changes;      // counts limits that became shared, or ceased to be
    Word host;               // this host's number among its peers
    Word successor;          // inode of the segment that this one is left for; 0: none (move.hpp)
    WaitingRecord waiting;
    LeaseContactRecord contact;
};

/// The name of a record: what it is found by. `text` is zero-padded.
template <std::size_t Words>
struct IdentityRecord {
    Word hash;
    Word meta;    // text bytes | scope bytes << 16 | unit << 32
    Word detail;  // the window's length in ns; 0 elsewhere
    Word text[Words];
};

/// One window limiter. Its first cache line is all that a decision reads besides one edge.
struct alignas(64) WindowRecord {
    Word life;
    Word reciprocal;   // of the tick's length, as TickScale has it
    Word base;         // added to the scale's ticks: ticks never go back from one life to the next
    Word limit_since;  // when the limit last changed, ns
    WindowState<Word, StandardGeometry> state;
    LeaseWords lease;
    Word reserved[4];
    IdentityRecord<29> identity;
};

/// One in-flight gauge; a cell for each participant follows.
struct alignas(64) GaugeRecord {
    Word life;
    Word total;
    Word pending;
    Word max;  // a Parameter
    LeaseWords lease;
    IdentityRecord<29> identity;
};

/// The health of a deployment, and what has been learned of a model.
struct alignas(64) HealthRecord {
    static constexpr std::size_t kBuckets = 16;

    Word life;
    Word cooldown_until;     // ns; 0 is none
    Word latency;            // average, us << 27 | second of its latest sample
    Word ttft;               // average time to first token, likewise
    Word samples;            // of latency
    Word streak;             // consecutive failures
    Word bytes_per_token;    // average, 1/1024 byte
    Word completion_tokens;  // average, 1/1024 token
    Word usages;             // samples of the two above
    Word last_failure;       // ns
    Word buckets[kBuckets];  // tick of 5 s << 40 | failures << 20 | successes
    Word reserved[14];
    IdentityRecord<37> identity;
};

/// A named sum. 424 bytes of text, for labels are part of the name.
struct alignas(64) CounterRecord {
    Word life;
    Word value;
    Word reserved[5];
    IdentityRecord<54> identity;
};

/// A line of those who wait for one thing; a word for each participant follows: the place of the first
/// of its waiters (line.hpp), or 0.
struct alignas(64) LineRecord {
    Word life;
    Word reserved[7];
    IdentityRecord<29> identity;
};

/// One actor's slot.
struct alignas(64) ParticipantRecord {
    enum State : std::uint8_t { free = 0, live = 1, reaping = 2, left = 3 };

    Word life;  // generation << 8 | State
    Word pid;
    Word joined;    // ns
    Word position;  // records ever written to the ring
    Word role[8];
    Word own[kOwnCounters];
    Word looked;  // when it last looked after those of it who wait, ns
    Word bell;    // whether it wants to be woken: Bell (line.hpp)
    Word reserved[18 - kOwnCounters];
};

/// One decision in the flight recorder.
struct RingRecord {
    Word time;  // ns, within the tick that was charged
    Word what;  // record index | generation << 24 | kind << 56
    Word units;
    Word tick;
};

static_assert(sizeof(Header) <= kPageBytes);
static_assert(sizeof(WindowRecord) == 1408 && offsetof(WindowRecord, state) == 32);
static_assert(offsetof(WindowRecord, state.edge) == 64,
              "the head and the parameters share the first line");
static_assert(sizeof(GaugeRecord) == 320);
static_assert(sizeof(HealthRecord) == 640);
static_assert(sizeof(CounterRecord) == 512);
static_assert(sizeof(LineRecord) == 320);
static_assert(sizeof(ParticipantRecord) == 256);
static_assert(sizeof(RingRecord) == 32);

/// How many of each, and where: the byte offsets from the start of the segment.
struct Geometry {
    std::uint64_t size_bytes = 0;
    std::uint32_t participants = 0;
    std::uint32_t ring_records = 0;       // per participant, a power of two
    std::uint32_t records[kTables] = {};  // by Table
    std::uint32_t index_words[kTables] = {};
    std::uint64_t gauge_stride = 0;
    std::uint64_t line_stride = 0;
    std::uint64_t participants_at = 0;
    std::uint64_t rings_at = 0;
    std::uint64_t index_at[kTables] = {};
    std::uint64_t records_at[kTables] = {};
};

namespace detail {

constexpr std::uint64_t clamp(std::uint64_t value, std::uint64_t low, std::uint64_t high) noexcept {
    return value < low ? low : value > high ? high : value;
}
constexpr std::uint64_t power_of_two_below(std::uint64_t value) noexcept {
    std::uint64_t power = 1;
    while (power * 2 <= value) power *= 2;
    return power;
}
constexpr std::uint64_t aligned(std::uint64_t at) noexcept {
    return (at + 63) & ~std::uint64_t{63};
}

}  // namespace detail

/// The map of a segment of `size_bytes` (kSegmentBytesMin .. kSegmentBytesMax). 16 MiB give 64
/// participants with 2,048 recorded decisions each, 512 gauges, 1,024 healths, 2,048 counters, 256
/// lines, and over 7,000 windows.
constexpr Geometry geometry_of(std::uint64_t size_bytes) noexcept {
    using detail::clamp;
    Geometry g;
    g.size_bytes = size_bytes;
    g.participants = static_cast<std::uint32_t>(clamp(size_bytes >> 18, 8, 256));
    // A quarter of the segment records decisions, but no participant needs more than 65,536 of
    // them.
    const std::uint64_t ring = size_bytes / 4 / g.participants / sizeof(RingRecord);
    g.ring_records =
        static_cast<std::uint32_t>(clamp(detail::power_of_two_below(ring), 64, 1u << 16));
    g.gauge_stride = detail::aligned(sizeof(GaugeRecord) + sizeof(Word) * g.participants);
    g.line_stride = detail::aligned(sizeof(LineRecord) + sizeof(Word) * g.participants);

    auto& records = g.records;
    records[1] = static_cast<std::uint32_t>(clamp(size_bytes >> 15, 32, 1u << 16));
    records[2] = static_cast<std::uint32_t>(clamp(size_bytes >> 14, 32, 1u << 16));
    records[3] = static_cast<std::uint32_t>(clamp(size_bytes >> 13, 64, 1u << 17));
    records[4] = static_cast<std::uint32_t>(clamp(size_bytes >> 16, 16, 1u << 10));

    std::uint64_t at = kPageBytes;
    g.participants_at = at;
    at += sizeof(ParticipantRecord) * g.participants;
    g.rings_at = at;
    at += sizeof(RingRecord) * g.ring_records * g.participants;
    for (std::size_t table = 1; table < kTables; ++table) {
        g.index_words[table] =
            static_cast<std::uint32_t>(detail::power_of_two_below(records[table]) * 4);
        g.index_at[table] = at;
        at += sizeof(Word) * g.index_words[table];
    }
    const std::uint64_t strides[kTables] = {0, g.gauge_stride, sizeof(HealthRecord),
                                            sizeof(CounterRecord), g.line_stride};
    for (std::size_t table = 1; table < kTables; ++table) {
        at = detail::aligned(at);
        g.records_at[table] = at;
        at += strides[table] * records[table];
    }
    // The rest is windows and their index, between 2 and 4 words for each.
    const std::uint64_t left = size_bytes - at - 64;
    const std::uint64_t most =
        clamp(left / (sizeof(WindowRecord) + 4 * sizeof(Word)), 1, (1u << 24) - 1);
    g.index_words[0] = static_cast<std::uint32_t>(detail::power_of_two_below(most) * 4);
    g.index_at[0] = at;
    at = detail::aligned(at + sizeof(Word) * g.index_words[0]);
    g.records_at[0] = at;
    records[0] =
        static_cast<std::uint32_t>(clamp((size_bytes - at) / sizeof(WindowRecord), 1, most));
    return g;
}

static_assert(geometry_of(16u << 20).participants == 64);
static_assert(geometry_of(16u << 20).ring_records == 2048);
static_assert(geometry_of(16u << 20).records[0] >= 4096);
static_assert(geometry_of(16u << 20).records[1] >= 512);
static_assert(geometry_of(16u << 20).records[2] >= 1024);
static_assert(geometry_of(16u << 20).records[3] >= 2048);
static_assert(geometry_of(256u << 20).records[0] >= 100'000);
static_assert(geometry_of(kSegmentBytesMin).records[0] >= 256);

/// Two programs with the same fingerprint agree on every byte: FNV-1a over sizes, offsets and
/// constants.
constexpr std::uint64_t layout_fingerprint() noexcept {
    const Geometry small = geometry_of(kSegmentBytesMin);
    const Geometry g = geometry_of(16u << 20);
    const Geometry large = geometry_of(std::uint64_t{1} << 30);
    const std::uint64_t facts[] = {
        kLayoutVersion,
        TickScale::kFirstTick,
        StandardGeometry::kTicks,
        StandardGeometry::kRing,
        StandardGeometry::kTagBits,
        kOwnCounters,
        sizeof(Header),
        offsetof(Header, ready),
        offsetof(Header, tables),
        offsetof(Header, contact),
        offsetof(WindowRecord, lease),
        sizeof(WindowRecord),
        offsetof(WindowRecord, state),
        offsetof(WindowRecord, state.credited),
        offsetof(WindowRecord, state.edge),
        offsetof(WindowRecord, state.back),
        offsetof(WindowRecord, identity),
        sizeof(GaugeRecord),
        offsetof(GaugeRecord, identity),
        sizeof(HealthRecord),
        offsetof(HealthRecord, buckets),
        offsetof(HealthRecord, identity),
        sizeof(CounterRecord),
        offsetof(CounterRecord, identity),
        sizeof(ParticipantRecord),
        offsetof(ParticipantRecord, own),
        offsetof(ParticipantRecord, bell),
        offsetof(Header, waiting),
        offsetof(Header, successor),
        sizeof(LineRecord),
        offsetof(LineRecord, identity),
        sizeof(RingRecord),
        g.participants,
        g.ring_records,
        g.records[0],
        g.records[1],
        g.records[2],
        g.records[3],
        g.records[4],
        g.records_at[0],
        small.ring_records,
        small.records_at[0],
        small.line_stride,
        large.ring_records,
        large.records_at[0],
        large.line_stride,
    };
    std::uint64_t hash = 0xcbf2'9ce4'8422'2325;
    for (const std::uint64_t fact : facts) {
        for (unsigned shift = 0; shift < 64; shift += 8) {
            hash = (hash ^ (fact >> shift & 0xff)) * 0x100'0000'01b3;
        }
    }
    return hash;
}

}  // namespace weir::shm
