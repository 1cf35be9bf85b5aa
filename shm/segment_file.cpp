#include "shm/segment_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <boost/interprocess/mapped_region.hpp>
#include <boost/interprocess/shared_memory_object.hpp>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <optional>
#include <utility>

#include "shm/file_lock.hpp"

namespace weir::shm {

namespace ipc = boost::interprocess;

void (*creation_hook)(CreationStep step) = nullptr;

struct SegmentFile::Impl {
    std::string name;
    ipc::shared_memory_object object;
    ipc::mapped_region region;
    Geometry geometry;
    bool writable = false;
    int lock_fd = -1;

    Impl() = default;
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;
    ~Impl() {
        if (lock_fd >= 0) ::close(lock_fd);
    }

    /// Takes over an open object. Locks get an opening of their own: a mapping keeps the opening
    /// that it was made from alive, and with it its locks, in every child that was forked and has
    /// not called exec.
    void adopt(ipc::shared_memory_object&& opened) {
        object = std::move(opened);
        const std::string self =
            fmt::format("/proc/self/fd/{}", object.get_mapping_handle().handle);
        lock_fd = ::open(self.c_str(), (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC);
    }

    int fd() const noexcept { return lock_fd >= 0 ? lock_fd : object.get_mapping_handle().handle; }
};

namespace {

[[noreturn]] void fail(Attach reason, std::string_view name, const std::string& what) {
    throw SegmentError(reason, fmt::format("segment '{}': {}", name, what));
}

[[noreturn]] void fail_errno(std::string_view name, const char* call, int error) {
    const Attach reason = error == EACCES || error == EPERM    ? Attach::no_permission
                          : error == ENOSPC || error == EDQUOT ? Attach::no_space
                                                               : Attach::failed;
    fail(reason, name, fmt::format("{}: {}", call, std::strerror(error)));
}

void step(CreationStep reached) {
    if (creation_hook != nullptr) creation_hook(reached);
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

/// Where the host's monotonic clock comes from: its boot, and the time namespace that shifts it.
struct ClockIdentity {
    std::uint64_t boot[2] = {0, 0};
    std::uint64_t time_namespace = 0;
    bool operator==(const ClockIdentity&) const = default;
};

ClockIdentity this_clock() {
    ClockIdentity clock;
    std::ifstream file("/proc/sys/kernel/random/boot_id");
    std::string digits;
    std::getline(file, digits);
    std::erase(digits, '-');
    if (digits.size() >= 32) {
        clock.boot[0] = std::stoull(digits.substr(0, 16), nullptr, 16);
        clock.boot[1] = std::stoull(digits.substr(16, 16), nullptr, 16);
    }
    struct stat status {};
    if (::stat("/proc/self/ns/time", &status) == 0) clock.time_namespace = status.st_ino;
    return clock;
}

/// The first page as it stands in the file, read without mapping it: no SIGBUS, whatever its
/// length.
struct HeaderCopy {
    static constexpr std::size_t kWords = offsetof(Header, work) / sizeof(Word);
    std::uint64_t words[kWords] = {};
    std::uint64_t file_bytes = 0;

    std::uint64_t at(std::size_t offset) const noexcept { return words[offset / sizeof(Word)]; }
    std::uint64_t magic() const noexcept { return at(offsetof(Header, magic)); }
    bool ready() const noexcept { return at(offsetof(Header, ready)) == kReady; }
    std::uint64_t size_bytes() const noexcept { return at(offsetof(Header, size_bytes)); }
    ClockIdentity clock() const noexcept {
        return {{at(offsetof(Header, boot_id)), at(offsetof(Header, boot_id) + 8)},
                at(offsetof(Header, clock_id))};
    }
    std::string program() const {
        char text[33] = {};
        std::memcpy(text, &words[offsetof(Header, program) / sizeof(Word)], 32);
        for (char& c : text) {
            if (c != '\0' && (c < ' ' || c > '~')) c = '?';
        }
        return text;
    }
};

HeaderCopy read_header(std::string_view name, int fd) {
    HeaderCopy copy;
    struct stat status {};
    if (::fstat(fd, &status) != 0) fail_errno(name, "fstat", errno);
    copy.file_bytes = static_cast<std::uint64_t>(status.st_size);
    if (::pread(fd, copy.words, sizeof copy.words, 0) < 0) fail_errno(name, "pread", errno);
    return copy;
}

/// Throws unless `header` is a ready segment that this program understands and whose times mean
/// something.
void check_header(std::string_view name, const HeaderCopy& header) {
    if (header.magic() != 0 && header.magic() != kMagic) {
        fail(Attach::other_layout, name,
             "this shared memory is not a Weir segment; choose another name, or remove it");
    }
    const std::uint64_t fingerprint = header.at(offsetof(Header, fingerprint));
    if (fingerprint != layout_fingerprint()) {
        fail(Attach::other_layout, name,
             fmt::format(
                 "made by Weir {} with layout {} ({:016x}), but this is Weir {} with layout {} "
                 "({:016x}); stop its users and run `weir-inspect remove --segment {}`, or choose "
                 "another name",
                 header.program(), header.at(offsetof(Header, version)), fingerprint, WEIR_VERSION,
                 kLayoutVersion, layout_fingerprint(), name));
    }
    const ClockIdentity mine = this_clock();
    const ClockIdentity its = header.clock();
    if (its.boot[0] != mine.boot[0] || its.boot[1] != mine.boot[1]) {
        fail(Attach::other_boot, name,
             fmt::format("made before the host's last boot, so its times mean nothing now; run "
                         "`weir-inspect remove --segment {}`",
                         name));
    }
    if (its.time_namespace != mine.time_namespace) {
        fail(Attach::other_clock, name,
             "made in another time namespace, whose clock differs; processes that share limits "
             "must share "
             "their clock");
    }
    const std::uint64_t size = header.size_bytes();
    if (size < kSegmentBytesMin || size > kSegmentBytesMax || header.file_bytes < size) {
        fail(Attach::too_short, name,
             fmt::format(
                 "has {} bytes, but its header says {}: somebody truncated it; stop its users and "
                 "run `weir-inspect remove --segment {}`",
                 header.file_bytes, size, name));
    }
}

/// Stores what the header says, `ready` last.
void describe(Header& header, std::uint64_t size_bytes) {
    const auto put = [](Word& word, std::uint64_t value) {
        // ORDER(ready): published by the release of `ready` below.
        word.store(value, std::memory_order_relaxed);
    };
    const ClockIdentity clock = this_clock();
    put(header.magic, kMagic);
    put(header.fingerprint, layout_fingerprint());
    put(header.version, kLayoutVersion);
    put(header.size_bytes, size_bytes);
    put(header.boot_id[0], clock.boot[0]);
    put(header.boot_id[1], clock.boot[1]);
    put(header.clock_id, clock.time_namespace);
    put(header.created, static_cast<std::uint64_t>(now().count()));
    put(header.creator_pid, static_cast<std::uint64_t>(::getpid()));
    std::uint64_t program[4] = {};
    constexpr std::string_view kVersion = WEIR_VERSION;
    std::memcpy(program, kVersion.data(), std::min<std::size_t>(kVersion.size(), sizeof program));
    for (std::size_t i = 0; i < 4; ++i) put(header.program[i], program[i]);
    step(CreationStep::described);
    // ORDER(ready): release; pairs with the acquire in map(). Everything above is seen with it.
    header.ready.store(kReady, std::memory_order_release);
    step(CreationStep::ready);
}

/// The segment's group, if it is to have one.
std::optional<gid_t> group_of(const SegmentOptions& options) {
    if (options.group.empty()) return std::nullopt;
    const struct group* entry = ::getgrnam(options.group.c_str());
    if (entry == nullptr) {
        fail(Attach::no_permission, options.name, fmt::format("no group '{}'", options.group));
    }
    return entry->gr_gid;
}

/// Sets the mode and the group of a file that is this user's own and still to be filled.
void set_access(std::string_view name, int fd, std::optional<gid_t> group) {
    struct stat status {};
    if (::fstat(fd, &status) != 0) fail_errno(name, "fstat", errno);
    if (status.st_uid != ::geteuid()) return;
    if (group && ::fchown(fd, static_cast<uid_t>(-1), *group) != 0) {
        fail_errno(name, "fchown to the group", errno);
    }
    if (::fchmod(fd, group ? 0660 : 0600) != 0) fail_errno(name, "fchmod", errno);
}

/// A segment that somebody else may have prepared for us is not to be trusted with our limits.
void check_owner(const SegmentOptions& options, int fd) {
    struct stat status {};
    if (::fstat(fd, &status) != 0) fail_errno(options.name, "fstat", errno);
    const uid_t me = ::geteuid();
    if (status.st_uid != me && status.st_uid != 0 && me != 0 && options.group.empty()) {
        fail(Attach::no_permission, options.name,
             fmt::format(
                 "belongs to user {}, not to {}; set a group to share it, or choose another name",
                 status.st_uid, me));
    }
}

ipc::shared_memory_object open_object(const char* name, ipc::mode_t mode) {
    return {ipc::open_only, name, mode};
}

/// Opens the file of that name, if there is one.
std::optional<ipc::shared_memory_object> find_object(std::string_view name, ipc::mode_t mode) {
    try {
        return open_object(std::string(name).c_str(), mode);
    } catch (const ipc::interprocess_exception& error) {
        if (error.get_native_error() == ENOENT) return std::nullopt;
        fail_errno(name, "shm_open", error.get_native_error());
    }
}

/// Opens the file of that name or makes an empty one.
ipc::shared_memory_object find_or_make_object(const SegmentOptions& options) {
    constexpr int kAttemptsMax = 100;  // another process may keep removing it
    for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
        if (auto found = find_object(options.name, ipc::read_write)) {
            check_owner(options, found->get_mapping_handle().handle);
            return std::move(*found);
        }
        try {
            ipc::shared_memory_object made(ipc::create_only, options.name.c_str(), ipc::read_write,
                                           ipc::permissions(0600));
            step(CreationStep::created);
            return made;
        } catch (const ipc::interprocess_exception& error) {
            const int number = error.get_native_error();
            if (number != EEXIST) fail_errno(options.name, "shm_open", number);
        }
    }
    fail(Attach::failed, options.name, "appears and disappears all the time");
}

/// Whether `object` is still what its name stands for: somebody may have removed it meanwhile.
bool still_named(std::string_view name, const ipc::shared_memory_object& object) {
    struct stat opened {};
    struct stat named {};
    const std::string path = fmt::format("/dev/shm/{}", name);
    if (::fstat(object.get_mapping_handle().handle, &opened) != 0) return false;
    if (::stat(path.c_str(), &named) != 0) return opened.st_nlink > 0;
    return opened.st_ino == named.st_ino;
}

ipc::mapped_region map(std::string_view name, const ipc::shared_memory_object& object,
                       ipc::mode_t mode, std::uint64_t size_bytes) {
    try {
        ipc::mapped_region region(object, mode, 0, size_bytes);
        return region;
    } catch (const ipc::interprocess_exception& error) {
        fail(Attach::failed, name, fmt::format("mmap of {} bytes: {}", size_bytes, error.what()));
    }
}

/// Gives the file its bytes. A file that is longer already, from a creator that died, is never
/// shrunk.
void allocate(const SegmentOptions& options, int fd) {
    int error = 0;
    do {
        error = ::posix_fallocate(fd, 0, static_cast<off_t>(options.size_bytes));
    } while (error == EINTR);
    if (error == ENOSPC) {
        fail(Attach::no_space, options.name,
             fmt::format(
                 "/dev/shm has no room for {} bytes; make it larger (docker run --shm-size) or set "
                 "a smaller segment_size",
                 options.size_bytes));
    }
    if (error != 0) fail_errno(options.name, "posix_fallocate", error);
}

void check_size(const SegmentOptions& options) {
    if (options.size_bytes < kSegmentBytesMin || options.size_bytes > kSegmentBytesMax) {
        fail(Attach::failed, options.name,
             fmt::format("a size of {} bytes is not within 1 MiB and 1 TiB", options.size_bytes));
    }
}

/// Whether this header was left by a creator that did not finish: nothing in it counts.
bool half_made(const HeaderCopy& header) {
    return !header.ready() && (header.magic() == 0 || header.magic() == kMagic);
}

/// A file without a header that somebody works with had one. To begin anew beside them would let both have
/// the whole of every limit.
void check_unused(std::string_view name, int fd) {
    if (!locked_by_another(fd, kLockParticipants, WaitingRecord::kParticipantsMax)) return;
    fail(Attach::too_short, name,
         "somebody truncated it while programs use it; stop them, and the next one makes it anew");
}

}  // namespace

SegmentFile::SegmentFile(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
SegmentFile::SegmentFile(SegmentFile&&) noexcept = default;
SegmentFile& SegmentFile::operator=(SegmentFile&&) noexcept = default;
SegmentFile::~SegmentFile() = default;

std::byte* SegmentFile::data() const noexcept {
    return static_cast<std::byte*>(impl_->region.get_address());
}
const Geometry& SegmentFile::geometry() const noexcept {
    return impl_->geometry;
}
int SegmentFile::fd() const noexcept {
    return impl_->fd();
}
bool SegmentFile::writable() const noexcept {
    return impl_->writable;
}

bool SegmentFile::whole() const noexcept {
    struct stat status {};
    return ::fstat(fd(), &status) == 0 &&
           static_cast<std::uint64_t>(status.st_size) >= impl_->geometry.size_bytes;
}

SegmentFile SegmentFile::open(const SegmentOptions& options) {
    check_name(options.name);
    check_size(options);
    const std::optional<gid_t> group = group_of(options);  // before anything is made
    const Nanos until = now() + options.wait_max;
    for (;;) {
        auto impl = std::make_unique<Impl>();
        impl->name = options.name;
        impl->writable = true;
        impl->adopt(find_or_make_object(options));
        step(CreationStep::opened);
        const Nanos left = until > now() ? until - now() : Nanos(0);
        if (!lock_byte(impl->fd(), kLockCreation, left)) {
            fail(Attach::not_ready, options.name,
                 fmt::format("its creator is still at work after {} ms",
                             options.wait_max / std::chrono::milliseconds(1)));
        }
        step(CreationStep::locked);
        // Removed while we waited: then this file has no name any more, and the next round makes
        // one.
        if (!still_named(options.name, impl->object) && now() < until) continue;

        HeaderCopy header = read_header(options.name, impl->fd());
        const bool fresh = half_made(header);
        if (!fresh) check_header(options.name, header);
        const std::uint64_t size = fresh ? options.size_bytes : header.size_bytes();
        if (fresh) {
            check_unused(options.name, impl->fd());
            set_access(options.name, impl->fd(), group);
            allocate(options, impl->fd());
            step(CreationStep::sized);
        }
        impl->region = map(options.name, impl->object, ipc::read_write, size);
        impl->geometry = geometry_of(size);
        if (fresh) {
            step(CreationStep::mapped);
            // A file that has just been allocated is zero; one that was taken over may not be.
            if (header.file_bytes != 0) std::memset(impl->region.get_address(), 0, size);
            step(CreationStep::cleared);
            describe(*static_cast<Header*>(impl->region.get_address()), size);
        }
        unlock_byte(impl->fd(), kLockCreation);
        return SegmentFile(std::move(impl));
    }
}

SegmentFile SegmentFile::attach(std::string_view name, Segment::Access access) {
    check_name(name);
    auto impl = std::make_unique<Impl>();
    impl->name = std::string(name);
    impl->writable = access == Segment::Access::write;
    const ipc::mode_t mode = impl->writable ? ipc::read_write : ipc::read_only;
    auto found = find_object(name, mode);
    if (!found)
        fail(Attach::not_there, name, "there is none; it appears when the first program opens it");
    impl->adopt(std::move(*found));

    // A creator needs milliseconds; a reader gives it a moment and then says what it has met.
    const Nanos until = now() + std::chrono::milliseconds(500);
    HeaderCopy header = read_header(name, impl->fd());
    while (half_made(header)) {
        if (now() >= until) {
            const bool busy = locked_by_another(impl->fd(), kLockCreation);
            fail(Attach::not_ready, name,
                 busy ? "its creator is still at work"
                      : "its creator died half-way; the next program that "
                        "opens it for writing will finish it");
        }
        const timespec pause{0, 1'000'000};
        ::nanosleep(&pause, nullptr);
        header = read_header(name, impl->fd());
    }
    check_header(name, header);
    impl->region = map(name, impl->object, mode, header.size_bytes());
    // ORDER(ready): acquire; pairs with the release in describe().
    if (static_cast<const Header*>(impl->region.get_address())
            ->ready.load(std::memory_order_acquire) != kReady) {
        fail(Attach::not_ready, name, "it has just been taken down");
    }
    impl->geometry = geometry_of(header.size_bytes());
    return SegmentFile(std::move(impl));
}

bool SegmentFile::remove(std::string_view name) {
    check_name(name);
    if (!find_object(name, ipc::read_only)) return false;
    return ipc::shared_memory_object::remove(std::string(name).c_str());
}

}  // namespace weir::shm
