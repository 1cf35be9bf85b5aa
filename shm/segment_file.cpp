#include "shm/segment_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <boost/interprocess/mapped_region.hpp>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "shm/clock_identity.hpp"
#include "shm/file_lock.hpp"
#include "shm/name_users.hpp"

namespace weir::shm {

namespace ipc = boost::interprocess;

void (*creation_hook)(CreationStep step) = nullptr;

struct SegmentFile::Impl {
    std::string name;
    ipc::mapped_region region;
    Geometry geometry;
    bool writable = false;
    /// Locks get an opening of their own: a mapping keeps the opening that it was made from alive, and with
    /// it its locks, in every child that was forked and has not called exec.
    OwnedFile locks;
    // Other threads may look while it is opened again: number + 1 and the claim on it, modulo 2^32.
    Word number;

    Impl() = default;
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;
    ~Impl() {
        const int mine = fd();
        keep_in_children(published(), claim());
        if (mine < 0) locks.release();  // the number is another's by now
    }

    /// -1 unless it still is the file.
    int fd() const noexcept {
        const int found = published();
        return identity_of(found) == locks.identity() && still_claimed(found, claim()) ? found : -1;
    }
    int published() const noexcept {
        // ORDER(reopened): acquire; the descriptor is open
        return static_cast<int>(number.load(std::memory_order_acquire) & 0x7fff'ffff) - 1;
    }
    std::uint64_t claim() const noexcept {
        return number.load(std::memory_order_acquire) >> 32;  // ORDER(reopened): as published
    }
    /// False: memory is short.
    bool own(OwnedFile&& file) noexcept {
        locks = std::move(file);
        const std::uint64_t claimed = drop_in_children(locks.number());
        const auto own = static_cast<std::uint64_t>(locks.number()) + 1;
        // ORDER(reopened): release; see published
        number.store(claimed << 32 | own, std::memory_order_release);
        return claimed != 0;
    }
};

namespace {

void step(CreationStep reached) {
    if (creation_hook != nullptr) creation_hook(reached);
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

void check_clock(std::string_view name, int fd, const ClockIdentity& its) {
    const ClockIdentity mine = this_clock();
    switch (compare(its, mine, in_memory(fd))) {
        case SameClock::yes:
            return;
        case SameClock::other_boot:
            fail(Attach::other_boot, name,
                 fmt::format(
                     "made under boot {}, but this process runs under {}: its times mean nothing here. If "
                     "the host was booted since, run `weir-inspect remove --segment {}`; if not, "
                     "this process has another /proc than the segment's users, and must share theirs",
                     boot_text(its), boot_text(mine), name));
        case SameClock::unknown_boot:
            fail(Attach::unknown_boot, name,
                 fmt::format(
                     "{} cannot read the host's boot id (is /proc mounted whole, without subset=pid?), "
                     "and its file does not lie in memory, so it may be of an earlier boot",
                     mine.boot_known() ? "its maker" : "this process"));
        case SameClock::other_clock:
            fail(Attach::other_clock, name,
                 "made in another time namespace, whose clock differs; processes that share limits must "
                 "share their clock");
    }
}

/// Throws unless `header` is a ready segment that this program understands and whose times mean
/// something.
void check_header(std::string_view name, int fd, const HeaderCopy& header) {
    if (header.magic() != 0 && header.magic() != kMagic) {
        fail(Attach::other_layout, name,
             "this shared memory is not a Weir segment; remove it, or have all programs of this host that "
             "share limits use another name");
    }
    const std::uint64_t fingerprint = header.at(offsetof(Header, fingerprint));
    if (fingerprint != layout_fingerprint()) {
        fail(Attach::other_layout, name,
             fmt::format(
                 "made by Weir {} with layout {} ({:016x}), but this is Weir {} with layout {} "
                 "({:016x}). To change over: stop all programs that use it, run `weir-inspect remove "
                 "--segment {}`, start them again. (Under another name this program would count by itself, "
                 "beside them: every limit would hold twice.)",
                 header.program(), header.at(offsetof(Header, version)), fingerprint, WEIR_VERSION,
                 kLayoutVersion, layout_fingerprint(), name));
    }
    check_clock(name, fd, header.clock());
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

/// Throws unless this user, with this group, may trust its limits to the file.
void check_trust(std::string_view name, int fd, std::optional<gid_t> group) {
    struct stat status {};
    if (::fstat(fd, &status) != 0) fail_errno(name, "fstat", errno);
    if (const auto why = distrust(status, ::geteuid(), group)) fail(Attach::no_permission, name, *why);
}

/// Opens the file of that name or makes an empty one.
OwnedFile find_or_make(std::string_view name) {
    constexpr int kAttemptsMax = 100;  // another process may keep removing it
    for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
        if (OwnedFile found = open_named(name, true)) return found;
        if (OwnedFile made = make_named(name)) {
            step(CreationStep::created);
            return made;
        }
    }
    fail(Attach::failed, name, "appears and disappears all the time");
}

/// What Boost maps: an open file.
struct Mappable {
    int fd;
    ipc::mapping_handle_t get_mapping_handle() const noexcept {
        return ipc::ipcdetail::mapping_handle_from_file_handle(fd);
    }
};

ipc::mapped_region map(std::string_view name, const OwnedFile& file, bool writable,
                       std::uint64_t size_bytes) {
    // By an opening of its own, see SegmentFile::Impl.
    const OwnedFile opened = open_again(name, file, writable);
    if (!opened) fail(Attach::failed, name, "cannot be opened a second time");
    try {
        return {Mappable{opened.fd()}, writable ? ipc::read_write : ipc::read_only, 0, size_bytes};
    } catch (const ipc::interprocess_exception& error) {
        fail(Attach::failed, name, fmt::format("mmap of {} bytes: {}", size_bytes, error.what()));
    }
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
    if (::fstat(impl_->published(), &status) != 0) return true;  // the application has closed it: see reopen
    if (fd() < 0) return true;
    return static_cast<std::uint64_t>(status.st_size) >= impl_->geometry.size_bytes;
}

FileIdentity SegmentFile::identity() const noexcept {
    return impl_->locks.identity();
}

int SegmentFile::open_descriptor() const noexcept {
    try {
        return open_again(impl_->name, impl_->locks, impl_->writable).release();
    } catch (...) {
        return -1;  // out of memory
    }
}

void SegmentFile::leave_name() const noexcept {
    unlock_byte(impl_->fd(), name_byte(impl_->name));
}

bool SegmentFile::named() const noexcept {
    return named_identity(impl_->name) == identity();
}

bool SegmentFile::reopen() noexcept {
    if (impl_->fd() >= 0) return true;
    try {
        impl_->locks.release();  // the number may be the next file's
        OwnedFile again = open_named(impl_->name, impl_->writable);
        if (!again || again.identity() != identity()) return false;
        if (!impl_->own(std::move(again))) return false;
        if (impl_->writable) share_byte(impl_->fd(), name_byte(impl_->name));
        return true;
    } catch (...) {
        return false;  // the name leads elsewhere, or nowhere
    }
}

namespace {

/// Makes the segment in a file that nobody has finished. Its creation is locked.
void fill(SegmentFile::Impl& impl, const SegmentOptions& options, std::optional<gid_t> group,
          const HeaderCopy& header) {
    check_unused(options.name, impl.fd());
    set_access(options.name, impl.fd(), group);
    // A file that is longer already, from a creator that died, is never shrunk.
    allocate(options.name, impl.fd(), options.size_bytes);
    step(CreationStep::sized);
    impl.region = map(options.name, impl.locks, true, options.size_bytes);
    step(CreationStep::mapped);
    // A file that has just been allocated is zero; one that was taken over may not be.
    if (header.file_bytes != 0) std::memset(impl.region.get_address(), 0, options.size_bytes);
    step(CreationStep::cleared);
    describe(*static_cast<Header*>(impl.region.get_address()), options.size_bytes);
}

/// Whoever uses another segment of this name, which has lost the name, notices within a second and comes here
/// with what it has counted (move.hpp). Until then nobody should be admitted here.
void await_users_without_name(const std::string& name, const FileIdentity& mine, Nanos until) {
    until = std::min(until, now() + kMoveMax);
    timespec pause{0, 1'000'000};
    for (;;) {
        const auto users = name_users(name);
        const bool alone = std::none_of(users.begin(), users.end(), [&](const NameUser& user) {
            return user.file.device == mine.device && user.file.inode != mine.inode;
        });
        if (alone || now() >= until) return;
        ::nanosleep(&pause, nullptr);
        if (pause.tv_nsec < 16'000'000) pause.tv_nsec *= 2;
    }
}

/// One attempt to open `file`: null if it has lost its name meanwhile.
std::unique_ptr<SegmentFile::Impl> open_file(const SegmentOptions& options, OwnedFile file,
                                             std::optional<gid_t> group, Nanos until,
                                             bool awaits_others) {
    auto impl = std::make_unique<SegmentFile::Impl>();
    impl->name = options.name;
    impl->writable = true;
    if (!impl->own(std::move(file))) fail(Attach::failed, options.name, "out of memory");
    step(CreationStep::opened);
    check_trust(options.name, impl->fd(), group);
    const Nanos left = until > now() ? until - now() : Nanos(0);
    if (!lock_byte(impl->fd(), kLockCreation, left)) {
        fail(Attach::not_ready, options.name,
             fmt::format("its creator is still at work after {} ms",
                         options.wait_max / std::chrono::milliseconds(1)));
    }
    step(CreationStep::locked);
    const bool handed_down = options.descriptor >= 0;
    if (!handed_down && named_identity(options.name) != impl->locks.identity()) return nullptr;

    const HeaderCopy header = read_header(options.name, impl->fd());
    const bool fresh = half_made(header);
    if (fresh) {
        fill(*impl, options, group, header);
    } else {
        check_header(options.name, impl->fd(), header);
        impl->region = map(options.name, impl->locks, true, header.size_bytes());
    }
    impl->geometry = geometry_of(fresh ? options.size_bytes : header.size_bytes());
    share_byte(impl->fd(), name_byte(options.name));
    unlock_byte(impl->fd(), kLockCreation);
    if (fresh && awaits_others) await_users_without_name(options.name, impl->locks.identity(), until);
    return impl;
}

OwnedFile handed_down(const SegmentOptions& options) {
    OwnedFile file;
    struct stat status {};
    if (::fstat(options.descriptor, &status) == 0 && S_ISREG(status.st_mode)) {
        const std::string self = fmt::format("/proc/self/fd/{}", options.descriptor);
        file = OwnedFile(::open(self.c_str(), O_RDWR | O_CLOEXEC));
    }
    if (!file) fail(Attach::failed, options.name, "the descriptor that was handed down is no segment's");
    return file;
}

}  // namespace

SegmentFile SegmentFile::open(const SegmentOptions& options, bool awaits_others) {
    check_name(options.name);
    check_size(options);
    const std::optional<gid_t> group = group_id(options);  // before anything is made
    const Nanos until = now() + options.wait_max;
    for (;;) {
        OwnedFile file = options.descriptor >= 0 ? handed_down(options) : find_or_make(options.name);
        // Removed while we waited: then this file has no name any more, and the next round makes one.
        auto impl = open_file(options, std::move(file), group, until, awaits_others);
        if (impl) return SegmentFile(std::move(impl));
        if (now() >= until) {
            fail(Attach::not_ready, options.name, "its name is removed again and again");
        }
    }
}

SegmentFile SegmentFile::attach(std::string_view name, Segment::Access access) {
    check_name(name);
    auto impl = std::make_unique<Impl>();
    impl->name = std::string(name);
    impl->writable = access == Segment::Access::write;
    OwnedFile file = open_named(name, impl->writable);
    if (!file) fail(Attach::not_there, name, "there is none; it appears when the first program opens it");
    if (!impl->own(std::move(file))) fail(Attach::failed, name, "out of memory");

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
    check_header(name, impl->fd(), header);
    impl->region = map(name, impl->locks, impl->writable, header.size_bytes());
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
    if (::unlink(path_of(name).c_str()) == 0) return true;
    if (errno == ENOENT) return false;
    fail_errno(name, "unlink", errno);
}

}  // namespace weir::shm
