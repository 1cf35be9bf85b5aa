// Who has a segment of a name open, whether or not the name leads to it any more.
//
// Every opening for writing shares a lock of one byte of its file, whose place is a hash of the segment's
// name. /proc/locks lists such locks of the whole machine, those of other containers too, with the file's
// device and inode. So a segment that has lost its name can be found as long as somebody uses it, and one of
// the same name on another /dev/shm can be seen.
//
// Internal to shm/. Thread and process safety: all of it.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "shm/shm_file.hpp"

namespace weir::shm {

/// The byte that users of a segment of that name lock together.
std::int64_t name_byte(std::string_view name) noexcept;

/// A file on which somebody has locked the byte.
struct NameUser {
    FileIdentity file;
    unsigned openings = 0;  ///< how many
};

/// Reads the lines of /proc/locks: which files have the lock of `byte`. Lines that say something else, or
/// nothing that can be read, are passed over.
std::vector<NameUser> read_locks(std::string_view locks, std::int64_t byte);

/// The segments of that name that somebody has open for writing; empty also where /proc/locks cannot be read.
std::vector<NameUser> name_users(std::string_view name);

}  // namespace weir::shm
