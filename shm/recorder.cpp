#include "shm/recorder.hpp"

#include <algorithm>

namespace weir::shm {

namespace {

Decided read_record(const RingRecord& record) {
    // ORDER(ring): acquire; pairs with the releases in write(), and keeps the second look at the
    // position behind these.
    const std::uint64_t what = record.what.load(std::memory_order_acquire);
    Decided decided;
    decided.time_ns = record.time.load(std::memory_order_acquire);  // ORDER(ring)
    decided.units = record.units.load(std::memory_order_acquire);   // ORDER(ring)
    decided.tick = record.tick.load(std::memory_order_acquire);     // ORDER(ring)
    decided.record = static_cast<std::uint32_t>(what & 0xff'ffff);
    decided.generation = static_cast<std::uint32_t>(what >> 24 & 0xffff'ffff);
    decided.kind = static_cast<Recorded>(what >> 56);
    return decided;
}

}  // namespace

RingCopy read_ring(const RingRecord* ring, std::uint32_t records, const Word& position,
                   std::uint64_t count_max) {
    const std::uint64_t end = position.load(std::memory_order_acquire);  // ORDER(ring): see write
    const std::uint64_t kept = std::min<std::uint64_t>({end, records, count_max});
    const std::uint64_t begin = end - kept;
    RingCopy copy;
    copy.decisions.reserve(kept);
    for (std::uint64_t i = begin; i < end; ++i) {
        copy.decisions.push_back(read_record(ring[i & (records - 1)]));
    }
    // The record at `now` may be half-written, in the place of the one at now - records.
    const std::uint64_t now = position.load(std::memory_order_acquire);  // ORDER(ring)
    const std::uint64_t safe = now + 1 > records ? now + 1 - records : 0;
    const std::uint64_t lost = now < end ? kept : std::min(kept, safe > begin ? safe - begin : 0);
    copy.decisions.erase(copy.decisions.begin(),
                         copy.decisions.begin() + static_cast<std::ptrdiff_t>(lost));
    copy.first = begin + lost;
    copy.overwritten = copy.first > 0;
    return copy;
}

}  // namespace weir::shm
