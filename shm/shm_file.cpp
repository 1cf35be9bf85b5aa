#include "shm/shm_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <linux/magic.h>
#include <signal.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <utility>

namespace weir::shm {

namespace {

FileIdentity identity_of(const struct stat& status) noexcept {
    return {static_cast<std::uint64_t>(status.st_dev), static_cast<std::uint64_t>(status.st_ino)};
}

const char* kind_of(mode_t mode) noexcept {
    if (S_ISDIR(mode)) return "a directory";
    if (S_ISFIFO(mode)) return "a pipe";
    if (S_ISLNK(mode)) return "a symbolic link";
    if (S_ISSOCK(mode)) return "a socket";
    return "a device";
}

void check_regular(std::string_view name, mode_t mode) {
    if (S_ISREG(mode)) return;
    fail(Attach::not_a_file, name,
         fmt::format("{} is {}, not a file; remove it, or choose another name", path_of(name),
                     kind_of(mode)));
}

/// O_NONBLOCK: opening a pipe for reading would wait for a writer. O_NOFOLLOW: a link could lead anywhere.
constexpr int kOpenFlags = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;

/// Keeps SIGXFSZ from this thread while it lives: beyond the limit on file sizes a call then fails (EFBIG)
/// and the process goes on.
class NoFileSizeSignal {
 public:
    NoFileSizeSignal() noexcept {
        ::sigemptyset(&signal_);
        ::sigaddset(&signal_, SIGXFSZ);
        sigset_t pending;
        waits_ = ::sigpending(&pending) == 0 && ::sigismember(&pending, SIGXFSZ) == 1;
        ::pthread_sigmask(SIG_BLOCK, &signal_, &before_);
    }
    ~NoFileSizeSignal() {
        const timespec at_once{0, 0};
        while (!waits_ && ::sigtimedwait(&signal_, nullptr, &at_once) == SIGXFSZ) {
        }
        ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    }
    NoFileSizeSignal(const NoFileSizeSignal&) = delete;
    NoFileSizeSignal& operator=(const NoFileSizeSignal&) = delete;

 private:
    sigset_t signal_;
    sigset_t before_;
    bool waits_ = false;  // it was pending before: that one is not ours
};

}  // namespace

void fail(Attach reason, std::string_view name, const std::string& what) {
    throw SegmentError(reason, fmt::format("segment '{}': {}", name, what));
}

void fail_errno(std::string_view name, const char* call, int error) {
    const Attach reason = error == EACCES || error == EPERM    ? Attach::no_permission
                          : error == ENOSPC || error == EDQUOT ? Attach::no_space
                                                               : Attach::failed;
    fail(reason, name, fmt::format("{}: {}", call, std::strerror(error)));
}

FileIdentity identity_of(int fd) noexcept {
    struct stat status {};
    return ::fstat(fd, &status) == 0 ? identity_of(status) : FileIdentity{};
}

FileIdentity named_identity(std::string_view name) noexcept {
    char path[16 + NAME_MAX] = "/dev/shm/";
    if (name.size() > NAME_MAX) return {};
    std::memcpy(path + std::strlen(path), name.data(), name.size());
    struct stat status {};
    return ::lstat(path, &status) == 0 ? identity_of(status) : FileIdentity{};
}

std::string path_of(std::string_view name) {
    return fmt::format("/dev/shm/{}", name);
}

void check_name(std::string_view name) {
    const bool plain = name.find_first_not_of(
                           "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                           "0123456789._-") == std::string_view::npos;
    if (name.empty() || name.size() > 200 || !plain || name == "." || name == "..") {
        fail(Attach::bad_name, name,
             "a name has 1 to 200 of A-Z a-z 0-9 . _ -, and is not . or ..");
    }
}

OwnedFile::OwnedFile(OwnedFile&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), identity_(other.identity_) {}

OwnedFile& OwnedFile::operator=(OwnedFile&& other) noexcept {
    if (this == &other) return *this;
    close();
    fd_ = std::exchange(other.fd_, -1);
    identity_ = other.identity_;
    return *this;
}

void OwnedFile::close() noexcept {
    if (fd() >= 0) ::close(fd_);
    fd_ = -1;
}

OwnedFile open_named(std::string_view name, bool writable) {
    const std::string path = path_of(name);
    const int fd = ::open(path.c_str(), (writable ? O_RDWR : O_RDONLY) | kOpenFlags);
    if (fd < 0) {
        const int error = errno;
        struct stat status {};
        if (error == ENOENT) return {};
        if (::lstat(path.c_str(), &status) == 0) check_regular(name, status.st_mode);
        fail_errno(name, "open", error);
    }
    OwnedFile file(fd);
    struct stat status {};
    if (::fstat(fd, &status) != 0) fail_errno(name, "fstat", errno);
    check_regular(name, status.st_mode);
    return file;
}

OwnedFile make_named(std::string_view name) {
    const int fd = ::open(path_of(name).c_str(), O_RDWR | O_CREAT | O_EXCL | kOpenFlags, 0600);
    if (fd < 0 && errno == EEXIST) return {};
    if (fd < 0) fail_errno(name, "open", errno);
    return OwnedFile(fd);
}

OwnedFile open_again(std::string_view name, const OwnedFile& file, bool writable) {
    const int flags = (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK;
    OwnedFile again(::open(fmt::format("/proc/self/fd/{}", file.fd()).c_str(), flags));
    if (again && again.identity() == file.identity()) return again;
    // Without /proc: by the name, if it still leads there.
    again = OwnedFile(::open(path_of(name).c_str(), flags | O_NOFOLLOW));
    return again.identity() == file.identity() ? std::move(again) : OwnedFile();
}

std::optional<gid_t> group_id(const SegmentOptions& options) {
    if (options.group.empty()) return std::nullopt;
    std::string room(4096, '\0');
    struct group entry {};
    struct group* found = nullptr;
    while (::getgrnam_r(options.group.c_str(), &entry, room.data(), room.size(), &found) == ERANGE) {
        room.resize(room.size() * 2);
    }
    if (found == nullptr) {
        fail(Attach::no_permission, options.name, fmt::format("no group '{}'", options.group));
    }
    return found->gr_gid;
}

std::optional<std::string> distrust(const struct stat& status, uid_t me, std::optional<gid_t> group) {
    if ((status.st_mode & S_IWOTH) != 0) {
        return fmt::format("everybody may write it (mode {:04o}), so its limits are worth nothing; remove it",
                           status.st_mode & 07777);
    }
    if (status.st_uid == me || status.st_uid == 0) return std::nullopt;
    if (group && status.st_gid == *group) return std::nullopt;
    const std::string whose = fmt::format("belongs to user {} and group {}, not to user {}", status.st_uid,
                                          status.st_gid, me);
    if (group) return fmt::format("{}, nor to group {}; remove it, or choose another name", whose, *group);
    return whose + "; to share it set the group of all its users (segment_group), or choose another name";
}

void set_access(std::string_view name, int fd, std::optional<gid_t> group) {
    struct stat status {};
    if (::fstat(fd, &status) != 0) fail_errno(name, "fstat", errno);
    if (status.st_uid != ::geteuid()) return;
    if (group && ::fchown(fd, static_cast<uid_t>(-1), *group) != 0) {
        fail_errno(name, "fchown to the group", errno);
    }
    if (::fchmod(fd, group ? 0660 : 0600) != 0) fail_errno(name, "fchmod", errno);
}

void allocate(std::string_view name, int fd, std::uint64_t bytes) {
    int error = 0;
    {
        const NoFileSizeSignal guard;
        do {
            error = ::posix_fallocate(fd, 0, static_cast<off_t>(bytes));
        } while (error == EINTR);
    }
    if (error == ENOSPC) {
        fail(Attach::no_space, name,
             fmt::format("/dev/shm has no room for {} bytes; make it larger (docker run --shm-size) or set "
                         "a smaller segment_size",
                         bytes));
    }
    if (error == EFBIG) {
        fail(Attach::failed, name,
             fmt::format("{} bytes are more than a file of this process may have (ulimit -f); raise that "
                         "limit or set a smaller segment_size",
                         bytes));
    }
    if (error != 0) fail_errno(name, "posix_fallocate", error);
}

bool in_memory(int fd) noexcept {
    struct statfs status {};
    if (::fstatfs(fd, &status) != 0) return false;
    const auto type = static_cast<std::uint64_t>(status.f_type) & 0xffff'ffff;
    return type == TMPFS_MAGIC || type == RAMFS_MAGIC;
}

}  // namespace weir::shm
