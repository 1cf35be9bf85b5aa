// A file in /dev/shm: opening it by its name without being fooled, and knowing it again.
//
// A name can come to lead elsewhere, and a descriptor's number can come to mean another file: an application
// may close what it has not opened. So a file is known by its device and inode, and whoever relies on a name
// or a number asks first (`leads_to`, `identity_of`).
//
// Internal to shm/. Thread and process safety: system calls only.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "shm/segment.hpp"

namespace weir::shm {

/// Which file it is, whatever its names are. No file has inode 0.
struct FileIdentity {
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    bool operator==(const FileIdentity&) const = default;
    explicit operator bool() const noexcept { return inode != 0; }
};

/// Of an open descriptor; none if it is not open.
FileIdentity identity_of(int fd) noexcept;

/// Of the file that bears `name` now; none if nothing does.
FileIdentity named_identity(std::string_view name) noexcept;

/// "/dev/shm/<name>".
std::string path_of(std::string_view name);

/// Throws SegmentError (bad_name) unless `name` can be a segment's.
void check_name(std::string_view name);

/// Throws SegmentError with the reason that `error`, an errno of `call`, stands for.
[[noreturn]] void fail_errno(std::string_view name, const char* call, int error);
[[noreturn]] void fail(Attach reason, std::string_view name, const std::string& what);

/// A descriptor that is closed with its owner, but only while it is still the file that was opened: an
/// application that has closed our number and opened a file of its own under it keeps that file.
class OwnedFile {
 public:
    OwnedFile() noexcept = default;
    explicit OwnedFile(int fd) noexcept : fd_(fd), identity_(identity_of(fd)) {}
    OwnedFile(OwnedFile&& other) noexcept;
    OwnedFile& operator=(OwnedFile&& other) noexcept;
    ~OwnedFile() { close(); }

    /// The descriptor, or -1 if it is not open any more, or another file.
    int fd() const noexcept { return fd_ >= 0 && identity_of(fd_) == identity_ ? fd_ : -1; }
    /// As it was opened, whatever has become of it.
    int number() const noexcept { return fd_; }
    FileIdentity identity() const noexcept { return identity_; }
    explicit operator bool() const noexcept { return fd_ >= 0; }
    void close() noexcept;
    /// Gives the descriptor away, or forgets its number, but not which file it was.
    int release() noexcept { return std::exchange(fd_, -1); }

 private:
    int fd_ = -1;
    FileIdentity identity_;
};

/// Opens the regular file of that name; empty if there is none. Never waits: a pipe, a device, a directory
/// or a symbolic link is refused at once (SegmentError, not_a_file).
OwnedFile open_named(std::string_view name, bool writable);

/// Makes an empty file of that name, mode 0600, and opens it; empty if something bears the name already.
OwnedFile make_named(std::string_view name);

/// Another opening of the same file; empty if the system gives none.
OwnedFile open_again(std::string_view name, const OwnedFile& file, bool writable);

/// The group of that name, if there is to be one. Throws SegmentError (no_permission) if it does not exist.
std::optional<gid_t> group_id(const SegmentOptions& options);

/// Why a file with this status must not hold the limits of user `me` (and of `group`, if one is set); empty
/// if it may. Trusted is the file of `me`, of root, and with a group any file of that group; never one that
/// everybody may write, nor, for root either, one of another user.
std::optional<std::string> distrust(const struct stat& status, uid_t me, std::optional<gid_t> group);

/// Sets the mode (0600, with a group 0660) and the group of a file that is this user's own.
void set_access(std::string_view name, int fd, std::optional<gid_t> group);

/// Gives the file `bytes` of memory (it never shrinks). Throws SegmentError: no_space if /dev/shm is too
/// small, failed beyond the limit on file sizes (ulimit -f); no signal ends the process.
void allocate(std::string_view name, int fd, std::uint64_t bytes);

/// Whether the file lies in memory that does not outlive the host's boot.
bool in_memory(int fd) noexcept;

}  // namespace weir::shm
