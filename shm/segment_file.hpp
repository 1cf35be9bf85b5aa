// The segment as a file: creating it, attaching to it, taking it over. Knows the header and nothing
// behind it.
//
// Creation is serialised by a byte lock that dies with its holder. Whoever gets the lock and finds
// the header not ready makes the segment anew, whatever its last creator had got to. Nothing is
// mapped before the size and the header have been read from the file, so that a file too short for
// its map is met as an error.
//
// Thread safety: none needed; used once per Segment. No Boost type in this header.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "shm/layout.hpp"
#include "shm/segment.hpp"
#include "shm/shm_file.hpp"

namespace weir::shm {

/// Within this time of losing its name a segment is left by all its users that are not stopped (move.hpp).
inline constexpr Nanos kMoveMax = std::chrono::milliseconds(1500);

/// An open and mapped segment.
class SegmentFile {
 public:
    /// As Segment::open and Segment::attach; throw SegmentError. `awaits_others`: whether whoever makes the
    /// segment waits for those who still use one of the same name that has lost it.
    static SegmentFile open(const SegmentOptions& options, bool awaits_others = true);
    static SegmentFile attach(std::string_view name, Segment::Access access);
    static bool remove(std::string_view name);

    SegmentFile(SegmentFile&&) noexcept;
    SegmentFile& operator=(SegmentFile&&) noexcept;
    ~SegmentFile();

    std::byte* data() const noexcept;
    const Geometry& geometry() const noexcept;
    /// For locks and sizes; not the opening that the mapping was made from. -1 if the application has closed
    /// it, or made another file of its number (asked each time): nothing is locked by it then.
    int fd() const noexcept;
    /// Opens it again by its name after that; false if the name does not lead to it any more. Locks are lost.
    bool reopen() noexcept;
    FileIdentity identity() const noexcept;
    /// Another opening of the file, for the caller; -1 if the system gives none.
    int open_descriptor() const noexcept;
    /// Is no more among the users of the segment's name (name_users.hpp).
    void leave_name() const noexcept;
    /// Whether the name still leads to this file.
    bool named() const noexcept;
    bool writable() const noexcept;

    /// Whether the file is still as long as it was: somebody may have truncated it under our map.
    bool whole() const noexcept;

    struct Impl;  ///< segment_file.cpp

 private:
    explicit SegmentFile(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

/// The steps of creation, in order; tests stop a creator after each.
enum class CreationStep : std::uint8_t { created, opened, locked, sized, mapped, cleared, described, ready };

/// Called after each step, if set, in this process. For tests only.
extern void (*creation_hook)(CreationStep step);

}  // namespace weir::shm
