#include "shm/directory.hpp"

#include <algorithm>

namespace weir::shm {

namespace {

constexpr auto kAcquire = std::memory_order_acquire;  // ORDER(index): a name for the lines below
constexpr auto kRelease = std::memory_order_release;  // ORDER(index): likewise
constexpr auto kRelaxed = std::memory_order_relaxed;  // ORDER(index): likewise

constexpr std::uint64_t kEmpty = 0;
constexpr std::uint64_t kTombstone = 0xffff'ffff;  // record numbers are below 2^24
constexpr std::size_t kIdentityHead = 3;           // hash, meta, detail

/// After a search of the whole table that found nothing to evict, this long nobody searches again.
constexpr std::uint64_t kFullForNs = 10'000'000;

constexpr std::uint64_t entry_of(std::uint64_t hash, std::uint32_t record) noexcept {
    return hash << 32 | (record + 1);
}
constexpr std::uint64_t record_of(std::uint64_t entry) noexcept {
    return (entry & 0xffff'ffff) - 1;
}

bool same_name(const TableView& table, std::uint32_t record, const NameKey& key) noexcept {
    const Word* words = table.identity(record);
    // ORDER(identity): acquire; a word of the next life is seen together with the end of this one,
    // which the caller's second look at `life` then finds.
    if (words[0].load(kAcquire) != key.hash || words[1].load(kAcquire) != key.meta) return false;
    if (words[2].load(kAcquire) != key.detail) return false;  // ORDER(identity)
    const std::size_t used = ((key.meta & 0xffff) + 7) / 8;
    for (std::size_t i = 0; i < std::min(used, table.text_words); ++i) {
        if (words[kIdentityHead + i].load(kAcquire) != key.text[i])
            return false;  // ORDER(identity)
    }
    return true;
}

}  // namespace

std::optional<Found> find(const TableView& table, const NameKey& key) noexcept {
    const std::uint32_t mask = table.index_words - 1;
    std::uint32_t at = static_cast<std::uint32_t>(key.hash >> 32) & mask;
    for (std::uint32_t probed = 0; probed < table.index_words; ++probed, at = (at + 1) & mask) {
        // ORDER(index): acquire; pairs with the release in add_to_index, which follows the
        // identity.
        const std::uint64_t entry = table.index[at].load(kAcquire);
        if (entry == kEmpty) return std::nullopt;
        if (entry >> 32 != (key.hash & 0xffff'ffff)) continue;
        const std::uint64_t record = record_of(entry);
        if (record >= table.count) continue;  // a tombstone, or not ours
        const auto number = static_cast<std::uint32_t>(record);
        // ORDER(life): acquire; pairs with the release that made the record live.
        const std::uint64_t life = table.life(number).load(kAcquire);
        if (Life::state_of(life) != Life::live || !same_name(table, number, key)) continue;
        // ORDER(life): ordered after the name's acquire loads.
        if (table.life(number).load(kRelaxed) == life) return Found{number, life};
    }
    return std::nullopt;
}

std::optional<NameKey> read_identity(const TableView& table, std::uint32_t record) noexcept {
    const std::uint64_t life = table.life(record).load(kAcquire);  // ORDER(life): as in find
    if (!has_name(life)) return std::nullopt;
    const Word* words = table.identity(record);
    NameKey key;
    key.hash = words[0].load(kAcquire);    // ORDER(identity): as in same_name
    key.meta = words[1].load(kAcquire);    // ORDER(identity)
    key.detail = words[2].load(kAcquire);  // ORDER(identity)
    for (std::size_t i = 0; i < std::min(table.text_words, NameKey::kWordsMax); ++i) {
        key.text[i] = words[kIdentityHead + i].load(kAcquire);  // ORDER(identity)
    }
    const std::uint64_t after = table.life(record).load(kRelaxed);  // ORDER(life): as in find
    if (!has_name(after) || Life::generation_of(after) != Life::generation_of(life)) return std::nullopt;
    return key;
}

std::optional<Work> unfinished(const Header& header) noexcept {
    const std::uint64_t work = header.work.load(kAcquire);  // ORDER(work): pairs with begin()
    if (work == 0 || (work - 1) >> 32 >= kTables) return std::nullopt;
    return Work{static_cast<Table>((work - 1) >> 32), static_cast<std::uint32_t>(work - 1)};
}

std::optional<Found> DirectoryWriter::make(const NameKey& key, RecordKeeper& keeper,
                                           std::uint64_t now) noexcept {
    if (const auto found = find(view_, key)) return found;
    const auto record = free_record(keeper, now);
    if (!record) return std::nullopt;

    // A death between any two of these leaves `building` and `work`, and repair() frees the record again.
    write_identity(*record, key);
    keeper.prepare(*record);
    add_to_index(*record, key.hash);
    const std::uint64_t live = begin_life(view_.life(*record));
    end();
    return Found{*record, live};
}

/// A record at `building`, with `work` set to it; empty if there is none.
std::optional<std::uint32_t> DirectoryWriter::free_record(RecordKeeper& keeper,
                                                          std::uint64_t now) noexcept {
    TableRecord& own = this->own();
    const std::uint64_t fresh =
        own.fresh.load(kRelaxed);  // ORDER(table): written under the lock only
    if (fresh < view_.count) {
        const auto record = static_cast<std::uint32_t>(fresh);
        own.fresh.store(fresh + 1,
                        kRelaxed);  // ORDER(table): a death here leaks nothing, see below
        if (take(record, keeper)) return record;
    }
    const std::uint64_t until = own.full_until.load(kRelaxed);  // ORDER(table)
    if (now < until && until - now <= kFullForNs) return std::nullopt;
    // The hand goes round once. It also finds what a death left free.
    auto hand = static_cast<std::uint32_t>(own.hand.load(kRelaxed) % view_.count);  // ORDER(table)
    for (std::uint32_t tried = 0; tried < view_.count; ++tried) {
        const std::uint32_t record = hand;
        hand = hand + 1 == view_.count ? 0 : hand + 1;
        if (!take(record, keeper)) continue;
        own.hand.store(hand, kRelaxed);  // ORDER(table)
        return record;
    }
    own.full_until.store(now + kFullForNs, kRelaxed);  // ORDER(table)
    return std::nullopt;
}

/// Takes a record that is free, or live but idle, to `building`.
bool DirectoryWriter::take(std::uint32_t record, RecordKeeper& keeper) noexcept {
    begin(record);
    bool retired = false;
    const bool taken = end_life(
        view_.life(record), [&] { return keeper.idle(record); },
        [&] { return retired = keeper.retire(record); });
    if (retired) own().evictions.fetch_add(1, kRelaxed);  // ORDER(counter)
    if (!taken) {
        end();
        return false;
    }
    // ORDER(identity): lock held
    drop_from_index(record, view_.identity(record)[0].load(kRelaxed));
    return true;
}

void DirectoryWriter::repair(std::uint32_t record) noexcept {
    if (record < view_.count) repair_life(view_.life(record), [&] { drop_everywhere(record); });
    end();
}

void DirectoryWriter::begin(std::uint32_t record) noexcept {
    const std::uint64_t work = (static_cast<std::uint64_t>(table_) << 32 | record) + 1;
    header_.work.store(work, kRelease);  // ORDER(work): pairs with unfinished(), through the lock
}

void DirectoryWriter::end() noexcept {
    header_.work.store(0, kRelease);  // ORDER(work): as in begin
}

void DirectoryWriter::write_identity(std::uint32_t record, const NameKey& key) noexcept {
    Word* words = view_.identity(record);
    // ORDER(identity): release; see same_name.
    words[0].store(key.hash, kRelease);
    words[1].store(key.meta, kRelease);    // ORDER(identity)
    words[2].store(key.detail, kRelease);  // ORDER(identity)
    for (std::size_t i = 0; i < view_.text_words; ++i) {
        words[kIdentityHead + i].store(key.text[i], kRelease);  // ORDER(identity)
    }
}

void DirectoryWriter::add_to_index(std::uint32_t record, std::uint64_t hash) noexcept {
    const std::uint32_t mask = view_.index_words - 1;
    std::uint32_t at = static_cast<std::uint32_t>(hash >> 32) & mask;
    for (std::uint32_t probed = 0; probed < view_.index_words; ++probed, at = (at + 1) & mask) {
        const std::uint64_t entry = view_.index[at].load(kRelaxed);  // ORDER(index): lock held
        // What points at no record is as good as empty: a tombstone, or garbage.
        if (entry != kEmpty && record_of(entry) < view_.count) continue;
        view_.index[at].store(entry_of(hash, record), kRelease);  // ORDER(index): see find
        return;
    }
}

void DirectoryWriter::drop_from_index(std::uint32_t record, std::uint64_t hash) noexcept {
    const std::uint32_t mask = view_.index_words - 1;
    std::uint32_t at = static_cast<std::uint32_t>(hash >> 32) & mask;
    for (std::uint32_t probed = 0; probed < view_.index_words; ++probed, at = (at + 1) & mask) {
        const std::uint64_t entry = view_.index[at].load(kRelaxed);  // ORDER(index): lock held
        if (entry == kEmpty) return;
        if (record_of(entry) == record) return bury(at);
    }
}

/// After a death nobody knows under which name the record stands in the index.
void DirectoryWriter::drop_everywhere(std::uint32_t record) noexcept {
    for (std::uint32_t at = 0; at < view_.index_words; ++at) {
        if (record_of(view_.index[at].load(kRelaxed)) == record)
            bury(at);  // ORDER(index): lock held
    }
}

/// Makes an index word a tombstone, and tombstones at the end of a probe chain empty again.
void DirectoryWriter::bury(std::uint32_t at) noexcept {
    const std::uint32_t mask = view_.index_words - 1;
    view_.index[at].store(kTombstone, kRelease);  // ORDER(index): as in add_to_index
    if (view_.index[(at + 1) & mask].load(kRelaxed) != kEmpty) return;  // ORDER(index): lock held
    while (view_.index[at].load(kRelaxed) == kTombstone) {              // ORDER(index)
        view_.index[at].store(kEmpty, kRelease);                        // ORDER(index)
        at = (at - 1) & mask;
    }
}

}  // namespace weir::shm
