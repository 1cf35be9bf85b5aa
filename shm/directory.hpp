// The directory of one table: finds a record by its name, makes it, and reuses idle ones.
//
// Looking up a name that is there takes no lock and writes nothing. Making one is serialised by a
// byte lock on the file that the kernel releases when its holder dies; so there is at most one
// maker, a name cannot be made twice, and whoever takes the lock after a death finds in
// Header::work what was begun and tidies it up from the words alone. The holder is never waited for
// longer than asked.
//
// Open addressing with linear probing over index words, (hash & 0xffffffff) << 32 | record + 1. A
// removed entry becomes a tombstone, and empty again when the one behind it is.
//
// Thread safety: find() from any thread; everything else under the directory lock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "shm/layout.hpp"
#include "shm/name_key.hpp"

namespace weir::shm {

/// Where a table's words are; made from the geometry, never from the segment.
struct TableView {
    Word* index = nullptr;
    std::uint32_t index_words = 0;  // a power of two
    std::byte* records = nullptr;
    std::uint32_t count = 0;
    std::uint64_t stride = 0;
    std::uint64_t identity_at = 0;  // in the record
    std::size_t text_words = 0;

    /// A record's first word is its life. `record` must be below `count`.
    Word& life(std::uint32_t record) const noexcept {
        return *reinterpret_cast<Word*>(records + stride * record);
    }
    Word* identity(std::uint32_t record) const noexcept {
        return reinterpret_cast<Word*>(records + stride * record + identity_at);
    }
};

/// A record that was found: its index and its life's word at that moment.
struct Found {
    std::uint32_t record = 0;
    std::uint64_t life = 0;
};

/// The live record of that name. No lock; a record that is being changed counts as not found.
std::optional<Found> find(const TableView& table, const NameKey& key) noexcept;

/// Whether a record of such a life has a name: also while it is being looked at for eviction.
constexpr bool has_name(std::uint64_t life) noexcept {
    return Life::state_of(life) == Life::live || Life::state_of(life) == Life::checking;
}

/// Reads the name of a record; empty if it has not had the same one throughout.
std::optional<NameKey> read_identity(const TableView& table, std::uint32_t record) noexcept;

/// What happens to a record of one table at the ends of its life.
class RecordKeeper {
 public:
    /// Whether nothing in the live record seems to matter any more. Changes nothing.
    virtual bool idle(std::uint32_t record) noexcept = 0;

    /// Whether the record may be reused: nothing in it matters any more, and nobody who comes late with an
    /// old handle is admitted. Called with the record's life at `checking`.
    virtual bool retire(std::uint32_t record) noexcept = 0;

    /// Fills a record that is about to become live.
    virtual void prepare(std::uint32_t record) noexcept = 0;

 protected:
    ~RecordKeeper() = default;
};

/// One holder of the directory lock at work on one table.
class DirectoryWriter {
 public:
    DirectoryWriter(Header& header, Table table, const TableView& view) noexcept
        : header_(header), table_(table), view_(view) {}

    /// The record of that name, made if there is none; empty if the table is full. `now` in ns.
    std::optional<Found> make(const NameKey& key, RecordKeeper& keeper, std::uint64_t now) noexcept;

    /// Finishes or undoes what a dead holder of the lock had begun in this table, on `record`.
    void repair(std::uint32_t record) noexcept;

 private:
    std::optional<std::uint32_t> free_record(RecordKeeper& keeper, std::uint64_t now) noexcept;
    bool take(std::uint32_t record, RecordKeeper& keeper) noexcept;
    void begin(std::uint32_t record) noexcept;
    void end() noexcept;
    void write_identity(std::uint32_t record, const NameKey& key) noexcept;
    void add_to_index(std::uint32_t record, std::uint64_t hash) noexcept;
    void drop_from_index(std::uint32_t record, std::uint64_t hash) noexcept;
    void drop_everywhere(std::uint32_t record) noexcept;
    void bury(std::uint32_t at) noexcept;
    TableRecord& own() const noexcept { return header_.tables[static_cast<std::size_t>(table_)]; }

    Header& header_;
    Table table_;
    const TableView& view_;
};

/// Splits Header::work. Empty when nothing was begun or the word makes no sense.
struct Work {
    Table table;
    std::uint32_t record;
};
std::optional<Work> unfinished(const Header& header) noexcept;

}  // namespace weir::shm
