// Opening, attaching, taking over and refusing a segment; every state of Attach is met here.
#include "shm/segment.hpp"

#include <fcntl.h>
#include <grp.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <fstream>
#include <functional>
#include <string>

#include "scratch_segment.hpp"
#include "shm/file_lock.hpp"
#include "shm/layout.hpp"
#include "shm/segment_file.hpp"

using namespace weir::shm;
using weir::shm::test::reason_of;
using weir::shm::test::ScratchName;

namespace {

void write_word(const std::string& path, std::size_t offset, std::uint64_t value) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(offset));
    file.write(reinterpret_cast<const char*>(&value), sizeof value);
    REQUIRE(file.good());
}

void make_file(const std::string& path, const std::string& content) {
    std::ofstream(path, std::ios::binary) << content;
}

CreationStep killed_at;
void kill_here(CreationStep step) {
    if (step == killed_at) ::raise(SIGKILL);
}

void create_and_die(const SegmentOptions& options, CreationStep step) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        killed_at = step;
        creation_hook = kill_here;
        const Segment segment = Segment::open(options);
        ::_exit(0);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(WIFSIGNALED(status));
}

/// What becomes of opening as user 65534 in group `group`: its reason, or 99 if the child cannot become that.
int open_as_nobody(const SegmentOptions& options, gid_t group) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        if (::setgroups(0, nullptr) != 0 || ::setgid(group) != 0 || ::setuid(65534) != 0) ::_exit(99);
        const Attach reason = reason_of([&] {
            Segment segment = Segment::open(options);
            Participant me = segment.join("nobody");
            const Charge charge{segment.limiter({"key", "a"}, 10), 1};
            if (!me.admit({{&charge, 1}, {}}, now()).admitted()) ::_exit(98);
        });
        ::_exit(static_cast<int>(reason));
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(WIFEXITED(status));
    return WEXITSTATUS(status);
}

}  // namespace

TEST_CASE("a segment is created once and found again with its counters") {
    const ScratchName scratch;
    {
        Segment first = Segment::open(scratch.options());
        Participant me = first.join("first");
        const Charge charge{first.limiter({"key", "a"}, 10), 4};
        REQUIRE(me.admit({{&charge, 1}, {}}, now()).admitted());
    }
    // As after a restart, or an upgrade that keeps the layout: another size asked for changes
    // nothing.
    Segment second = Segment::open(scratch.options(2u << 20));
    Participant me = second.join("second");
    CHECK(me.usage(second.limiter({"key", "a"}, 10), now()).used == 4);
    CHECK(me.usage(second.limiter({"key", "a"}, 20), now()).remaining == 16);
}

TEST_CASE("a reader sees what a writer counts and cannot write") {
    const ScratchName scratch;
    Segment writer = Segment::open(scratch.options());
    writer.limiter({"key", "a"}, 10);
    Segment reader = Segment::attach(scratch.name);
    REQUIRE(reader.limiters(now()).size() == 1);
    CHECK(reader.limiters(now()).front().name == "a");
    CHECK(reason_of([&] { reader.limiter({"key", "b"}, 10); }) == Attach::no_permission);
    CHECK(reason_of([&] { (void)reader.join("x"); }) == Attach::no_permission);
}

TEST_CASE("attaching to nothing says not_there") {
    std::string message;
    CHECK(reason_of([] { Segment::attach("weir-test-nothing-here"); }, &message) ==
          Attach::not_there);
    CHECK(message.find("weir-test-nothing-here") != std::string::npos);
    CHECK_FALSE(Segment::remove("weir-test-nothing-here"));
}

TEST_CASE("names are validated") {
    for (const char* name : {"", ".", "..", "a/b", "a b", "ü", "/weir"}) {
        CHECK(reason_of([name] { Segment::attach(name); }) == Attach::bad_name);
    }
    CHECK(reason_of([] { Segment::attach(std::string(201, 'a')); }) == Attach::bad_name);
    CHECK(reason_of([] { Segment::attach(std::string(200, 'a')); }) == Attach::not_there);
}

TEST_CASE("sizes are validated and a full tmpfs says so") {
    const ScratchName scratch;
    CHECK(reason_of([&] { Segment::open(scratch.options(1000)); }) == Attach::failed);
    struct stat status {};
    std::string message;
    CHECK(reason_of([&] { Segment::open(scratch.options(kSegmentBytesMax)); }, &message) ==
          Attach::no_space);
    CHECK(message.find("segment_size") != std::string::npos);
    // What could not be made does not stand in the way of a smaller one.
    CHECK(reason_of([&] { Segment::open(scratch.options()); }) == Attach::attached);
    REQUIRE(::stat(scratch.path().c_str(), &status) == 0);
    CHECK(status.st_size >= 1 << 20);
}

TEST_CASE("the mode is 0600, or 0660 with a group") {
    const ScratchName mine;
    const Segment own = Segment::open(mine.options());
    struct stat status {};
    REQUIRE(::stat(mine.path().c_str(), &status) == 0);
    CHECK((status.st_mode & 0777) == 0600);

    const ScratchName shared;
    SegmentOptions options = shared.options();
    options.group = "no-such-group-here";
    CHECK(reason_of([&] { Segment::open(options); }) == Attach::no_permission);
    CHECK_FALSE(Segment::remove(shared.name));  // nothing was made
    options.group = ::getgid() == 0 ? "root" : "";
    if (options.group.empty()) return;
    const Segment group = Segment::open(options);
    REQUIRE(::stat(shared.path().c_str(), &status) == 0);
    CHECK((status.st_mode & 0777) == 0660);
}

TEST_CASE("users of one group share a segment, and others may not") {
    if (::geteuid() != 0) return;  // only root can become somebody else
    const struct group* shared = ::getgrnam("daemon");
    if (shared == nullptr) return;
    const ScratchName scratch;
    SegmentOptions options = scratch.options();
    options.group = shared->gr_name;
    const gid_t group = shared->gr_gid;
    Segment segment = Segment::open(options);
    Participant me = segment.join("root");
    CHECK(open_as_nobody(options, group) == static_cast<int>(Attach::attached));
    CHECK(me.usage(segment.limiter({"key", "a"}, 10), now()).used == 1);
    CHECK(open_as_nobody(options, 65534) == static_cast<int>(Attach::no_permission));

    // A creator that was killed before it had set the group is taken over by one that sets it.
    const ScratchName left;
    options.name = left.name;
    create_and_die(options, CreationStep::created);
    const Segment taken_over = Segment::open(options);
    CHECK(open_as_nobody(options, group) == static_cast<int>(Attach::attached));

    const ScratchName own;
    const Segment private_one = Segment::open(own.options());
    CHECK(open_as_nobody(own.options(), 65534) == static_cast<int>(Attach::no_permission));
}

TEST_CASE("an upgrade of the same layout finds its counters, whatever version made them") {
    const ScratchName scratch;
    {
        Segment old = Segment::open(scratch.options());
        Participant me = old.join("old");
        const Charge charge{old.limiter({"key", "a"}, 10), 4};
        me.admit({{&charge, 1}, {}}, now()).ticket.close();
    }
    write_word(scratch.path(), offsetof(Header, program), 0x302e'302e'30);  // "0.0.0"
    Segment upgraded = Segment::open(scratch.options());
    Participant me = upgraded.join("new");
    CHECK(me.usage(upgraded.limiter({"key", "a"}, 10), now()).used == 4);
}

TEST_CASE("what is no segment is refused and left alone") {
    const ScratchName scratch;
    make_file(scratch.path(), std::string(2u << 20, 'x'));
    CHECK(reason_of([&] { Segment::open(scratch.options()); }) == Attach::other_layout);
    CHECK(reason_of([&] { Segment::attach(scratch.name); }) == Attach::other_layout);
    std::ifstream file(scratch.path());
    CHECK(file.get() == 'x');
}

TEST_CASE("another layout is refused with both versions") {
    const ScratchName scratch;
    { const Segment segment = Segment::open(scratch.options()); }
    write_word(scratch.path(), offsetof(Header, fingerprint), 0x1234567890abcdef);
    std::string message;
    CHECK(reason_of([&] { Segment::open(scratch.options()); }, &message) == Attach::other_layout);
    CHECK(message.find("1234567890abcdef") != std::string::npos);
    CHECK(message.find("weir-inspect remove") != std::string::npos);
    CHECK(message.find("stop all programs") != std::string::npos);
    CHECK(message.find("twice") != std::string::npos);
    CHECK(reason_of([&] { Segment::attach(scratch.name); }) == Attach::other_layout);
}

TEST_CASE("another boot and another time namespace are refused") {
    const ScratchName scratch;
    { const Segment segment = Segment::open(scratch.options()); }
    std::uint64_t boot = 0;
    std::ifstream file(scratch.path(), std::ios::binary);
    file.seekg(offsetof(Header, boot_id));
    file.read(reinterpret_cast<char*>(&boot), sizeof boot);
    std::uint64_t second = 0;
    file.read(reinterpret_cast<char*>(&second), sizeof second);
    write_word(scratch.path(), offsetof(Header, boot_id), boot ^ 1);
    std::string message;
    CHECK(reason_of([&] { Segment::open(scratch.options()); }, &message) == Attach::other_boot);
    CHECK(message.find("another /proc") != std::string::npos);
    // Of a file in memory nobody needs the boot id: it cannot be from before the boot.
    write_word(scratch.path(), offsetof(Header, boot_id), 0);
    write_word(scratch.path(), offsetof(Header, boot_id) + 8, 0);
    CHECK(reason_of([&] { Segment::open(scratch.options()); }) == Attach::attached);
    write_word(scratch.path(), offsetof(Header, boot_id) + 8, second);
    write_word(scratch.path(), offsetof(Header, boot_id), boot);
    write_word(scratch.path(), offsetof(Header, clock_id), 1);
    CHECK(reason_of([&] { Segment::open(scratch.options()); }) == Attach::other_clock);
    CHECK(reason_of([&] { Segment::attach(scratch.name); }) == Attach::other_clock);
}

TEST_CASE("a truncated segment is refused rather than mapped") {
    const ScratchName scratch;
    { const Segment segment = Segment::open(scratch.options()); }
    for (const off_t size : {off_t{1 << 19}, off_t{4096}}) {
        REQUIRE(::truncate(scratch.path().c_str(), size) == 0);
        CHECK(reason_of([&] { Segment::open(scratch.options()); }) == Attach::too_short);
        CHECK(reason_of([&] { Segment::attach(scratch.name); }) == Attach::too_short);
    }
}

TEST_CASE("truncation under a mapping is met by the next reap and nothing is touched after it") {
    const ScratchName scratch;
    Segment segment = Segment::open(scratch.options());
    Participant me = segment.join("me");
    const Charge charge{segment.limiter({"key", "a"}, 10), 1};
    const Gauge gauge = segment.gauge("key", "a", 10);
    REQUIRE(::truncate(scratch.path().c_str(), 4096) == 0);
    CHECK(me.reap(now()) == 0);
    const Admission admission = me.admit({{&charge, 1}, {}}, now());
    CHECK_FALSE(admission.admitted());
    CHECK(admission.refusal.reason == Refused::corrupt);
    // Any touch would end this process: what is asked of it is of pages that are gone.
    CHECK(me.usage(charge.limiter, now()).limit == 0);
    CHECK(me.look(charge.limiter, now()).limit == 0);
    CHECK(me.in_flight(gauge) == 0);
    CHECK(me.charge(charge.limiter, 1, now()) == 0);
    CHECK_FALSE(me.earliest({{&charge, 1}, {}}, now()));
    CHECK(segment.limiters(now()).empty());
    CHECK(segment.participants().empty());
    CHECK(reason_of([&] { segment.limiter({"key", "a"}, 10); }) == Attach::too_short);
    CHECK(reason_of([&] { segment.limiter({"key", "b"}, 10); }) == Attach::too_short);
    CHECK(reason_of([&] { (void)segment.join("late"); }) == Attach::too_short);
}

TEST_CASE("a segment that lost everything under its users is not begun anew beside them") {
    const ScratchName scratch;
    Segment segment = Segment::open(scratch.options());
    {
        const Participant me = segment.join("me");
        REQUIRE(::truncate(scratch.path().c_str(), 0) == 0);
        std::string message;
        CHECK(reason_of([&] { Segment::open(scratch.options()); }, &message) == Attach::too_short);
        CHECK(message.find("while programs use it") != std::string::npos);
        // What it had mapped is gone; leaving must not touch it.
        REQUIRE(::truncate(scratch.path().c_str(), static_cast<off_t>(scratch.options().size_bytes)) == 0);
    }
    CHECK(reason_of([&] { Segment::open(scratch.options()); }) == Attach::attached);
}

TEST_CASE("a creator at work is waited for and no longer than asked") {
    const ScratchName scratch;
    make_file(scratch.path(), "");
    const int fd = ::open(scratch.path().c_str(), O_RDWR | O_CLOEXEC);
    REQUIRE(try_lock_byte(fd, kLockCreation));
    SegmentOptions options = scratch.options();
    options.wait_max = std::chrono::milliseconds(30);
    CHECK(reason_of([&] { Segment::open(options); }) == Attach::not_ready);
    CHECK(reason_of([&] { Segment::attach(scratch.name); }) == Attach::not_ready);
    ::close(fd);
    CHECK(reason_of([&] { Segment::open(options); }) == Attach::attached);
}

TEST_CASE("a creator killed at any step leaves what the next one takes over") {
    for (const auto step :
         {CreationStep::created, CreationStep::opened, CreationStep::locked, CreationStep::sized,
          CreationStep::mapped, CreationStep::cleared, CreationStep::described}) {
        const ScratchName scratch;
        create_and_die(scratch.options(), step);
        CHECK(reason_of([&] { Segment::attach(scratch.name); }) == Attach::not_ready);
        Segment segment = Segment::open(scratch.options(2u << 20));
        Participant me = segment.join("me");
        const Charge charge{segment.limiter({"key", "a"}, 1), 1};
        CHECK(me.admit({{&charge, 1}, {}}, now()).admitted());
        CHECK_FALSE(me.admit({{&charge, 1}, {}}, now()).admitted());
    }
    const ScratchName scratch;
    create_and_die(scratch.options(), CreationStep::ready);
    CHECK(reason_of([&] { Segment::attach(scratch.name); }) == Attach::attached);
}

TEST_CASE("garbage that a dead creator left behind its header is cleared") {
    const ScratchName scratch;
    make_file(scratch.path(), std::string(8, '\0') + std::string(1u << 20, '\x5a'));
    Segment segment = Segment::open(scratch.options());
    CHECK(segment.limiters(now()).empty());
    CHECK(segment.participants().empty());
}

TEST_CASE("a removed segment is made anew while the old one lives on in who has it") {
    const ScratchName scratch;
    Segment old = Segment::open(scratch.options());
    old.limiter({"key", "a"}, 10);
    REQUIRE(Segment::remove(scratch.name));
    Segment fresh = Segment::open(scratch.options());
    CHECK(fresh.limiters(now()).empty());
    CHECK(old.limiters(now()).size() == 1);
}

TEST_CASE("the child of a fork must open its own segment") {
    const ScratchName scratch;
    Segment segment = Segment::open(scratch.options());
    Participant me = segment.join("parent");
    const Charge charge{segment.limiter({"key", "a"}, 10), 1};
    const pid_t child = ::fork();
    if (child == 0) {
        const bool refused = !me.admit({{&charge, 1}, {}}, now()).admitted();
        const bool threw = reason_of([&] { (void)segment.join("child"); }) == Attach::failed;
        Segment own = Segment::open(scratch.options());
        Participant mine = own.join("child");
        const Charge again{own.limiter({"key", "a"}, 10), 1};
        const bool admitted = mine.admit({{&again, 1}, {}}, now()).admitted();
        ::_exit(refused && threw && admitted ? 0 : 1);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 0));
    CHECK(me.usage(charge.limiter, now()).used == 1);
}
