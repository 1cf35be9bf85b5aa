// What a file in /dev/shm is trusted for, and what of a name, a descriptor and the limits of a process can
// go wrong around it.
#include "shm/shm_file.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <fstream>
#include <functional>
#include <string>
#include <thread>

#include "scratch_segment.hpp"
#include "shm/clock_identity.hpp"
#include "shm/file_lock.hpp"
#include "shm/name_users.hpp"
#include "shm/segment_file.hpp"

using namespace weir::shm;
using weir::shm::test::reason_of;
using weir::shm::test::ScratchName;

namespace {

struct stat status_of(uid_t owner, gid_t group, mode_t mode) {
    struct stat status {};
    status.st_uid = owner;
    status.st_gid = group;
    status.st_mode = S_IFREG | mode;
    return status;
}

/// Runs `work` in a child; its exit status, or -1 if a signal has ended it.
int in_child(const std::function<int()>& work) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) ::_exit(work());
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace

TEST_CASE("a file is trusted that belongs to this user, to root or to the group that was set") {
    struct Row {
        uid_t owner;
        gid_t group;
        mode_t mode;
        uid_t me;
        std::optional<gid_t> ours;
        bool trusted;
    };
    const Row rows[] = {
        {1000, 1000, 0600, 1000, {}, true},   // my own
        {1000, 1000, 0660, 1000, {}, true},   // my own, shared by another program of mine
        {0, 0, 0600, 1000, {}, true},         // root's
        {0, 50, 0660, 1000, 50, true},        // root's, for the group
        {2000, 50, 0660, 1000, 50, true},     // another user's, of the group
        {2000, 50, 0660, 0, 50, true},        // for root, too
        {2000, 2000, 0600, 1000, {}, false},  // another user's
        {2000, 2000, 0600, 0, {}, false},     // root trusts no other user's either
        {2000, 2000, 0666, 0, {}, false},
        {2000, 60, 0660, 1000, 50, false},    // another group's
        {2000, 60, 0660, 0, 50, false},       // for root, too
        {2000, 50, 0666, 1000, 50, false},    // everybody may write it
        {1000, 1000, 0666, 1000, {}, false},  // even my own
        {0, 0, 0666, 0, {}, false},
    };
    for (const Row& row : rows) {
        INFO(row.owner << ":" << row.group << " " << std::oct << row.mode << std::dec << " for " << row.me);
        const auto why = distrust(status_of(row.owner, row.group, row.mode), row.me, row.ours);
        CHECK(!why == row.trusted);
        if (why) CHECK(why->size() > 20);
    }
}

TEST_CASE("root refuses a segment that another user has prepared") {
    if (::geteuid() != 0) return;  // only root can become somebody else
    const ScratchName scratch;
    REQUIRE(in_child([&] {
                if (::setgid(65534) != 0 || ::setuid(65534) != 0) return 1;
                Segment::open(scratch.options());
                return 0;
            }) == 0);
    std::string message;
    CHECK(reason_of([&] { Segment::open(scratch.options()); }, &message) == Attach::no_permission);
    CHECK(message.find("65534") != std::string::npos);
    // Also an empty file, which would be filled and stay the other user's.
    const ScratchName empty;
    REQUIRE(in_child([&] {
                if (::setgid(65534) != 0 || ::setuid(65534) != 0) return 1;
                ::umask(0);
                return ::close(::open(empty.path().c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0666));
            }) == 0);
    CHECK(reason_of([&] { Segment::open(empty.options()); }) == Attach::no_permission);
    struct stat status {};
    REQUIRE(::stat(empty.path().c_str(), &status) == 0);
    CHECK(status.st_size == 0);
    // With a group only that group's.
    SegmentOptions grouped = scratch.options();
    grouped.group = "daemon";
    CHECK(reason_of([&] { Segment::open(grouped); }) == Attach::no_permission);
}

TEST_CASE("what bears the name and is no file is refused at once") {
    const auto refused = [](const ScratchName& scratch, const char* what) {
        std::string message;
        CHECK(reason_of([&] { Segment::open(scratch.options()); }, &message) == Attach::not_a_file);
        CHECK(message.find(what) != std::string::npos);
        CHECK(reason_of([&] { Segment::attach(scratch.name); }) == Attach::not_a_file);
        const auto write = Segment::Access::write;
        CHECK(reason_of([&] { Segment::attach(scratch.name, write); }) == Attach::not_a_file);
    };
    const ScratchName pipe;
    REQUIRE(::mkfifo(pipe.path().c_str(), 0600) == 0);
    refused(pipe, "a pipe");

    const ScratchName target;
    const ScratchName link;
    const Segment there = Segment::open(target.options());
    REQUIRE(::symlink(target.path().c_str(), link.path().c_str()) == 0);
    refused(link, "a symbolic link");

    const ScratchName directory;
    REQUIRE(::mkdir(directory.path().c_str(), 0700) == 0);
    refused(directory, "a directory");
    REQUIRE(::rmdir(directory.path().c_str()) == 0);
}

TEST_CASE("beyond the limit on file sizes opening is an error and no signal") {
    const ScratchName scratch;
    CHECK(in_child([&] {
              const rlimit limit{1 << 19, 1 << 19};
              if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return 1;
              std::string message;
              if (reason_of([&] { Segment::open(scratch.options()); }, &message) != Attach::failed) return 2;
              if (message.find("ulimit -f") == std::string::npos) return 3;
              sigset_t pending;
              ::sigpending(&pending);
              if (::sigismember(&pending, SIGXFSZ) != 0) return 4;
              sigset_t blocked;
              ::pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
              return ::sigismember(&blocked, SIGXFSZ) == 0 ? 0 : 5;
          }) == 0);
}

TEST_CASE("a clock is the same unless both know better, or the file could outlive the boot") {
    const ClockIdentity here{{1, 2}, 7};
    const ClockIdentity elsewhere{{1, 3}, 7};
    const ClockIdentity shifted{{1, 2}, 8};
    const ClockIdentity blind{};
    for (const bool in_memory : {true, false}) {
        CHECK(compare(here, here, in_memory) == SameClock::yes);
        CHECK(compare(elsewhere, here, in_memory) == SameClock::other_boot);
        CHECK(compare(shifted, here, in_memory) == SameClock::other_clock);
    }
    CHECK(compare(blind, here, true) == SameClock::yes);
    CHECK(compare(here, blind, true) == SameClock::yes);
    CHECK(compare(blind, blind, true) == SameClock::yes);
    CHECK(compare(blind, here, false) == SameClock::unknown_boot);
    CHECK(compare(here, blind, false) == SameClock::unknown_boot);
    CHECK(boot_text(blind) == "unknown");
    CHECK(boot_text(this_clock()).size() == 36);
    CHECK(in_memory(identity_of(-1) ? -1 : ::open("/dev/shm", O_RDONLY | O_CLOEXEC | O_DIRECTORY)));
}

TEST_CASE("lines of the kernel's list of locks are read, and others passed over") {
    const std::int64_t byte = name_byte("weir");
    const std::string at = " " + std::to_string(byte) + " " + std::to_string(byte) + "\n";
    const std::string locks = "1: OFDLCK ADVISORY  READ -1 00:19:17" + at +
                              "1: -> OFDLCK ADVISORY  READ -1 00:19:18" + at +
                              "2: POSIX  ADVISORY  READ 77 00:19:19" + at +
                              "3: OFDLCK ADVISORY  WRITE -1 00:19:17 4096 4096\n"
                              "4: OFDLCK ADVISORY  READ -1 00:19:17" + at +
                              "5: OFDLCK ADVISORY  READ -1 fd:1a:99" + at +
                              "6: OFDLCK ADVISORY  READ -1 zz:19:17" + at +
                              "7: OFDLCK ADVISORY  READ -1 00:19" + at + "8: FLOCK\n\n";
    const auto users = read_locks(locks, byte);
    REQUIRE(users.size() == 2);
    CHECK(users[0].file.inode == 17);
    CHECK(users[0].openings == 2);
    CHECK(users[1].file.inode == 99);
    CHECK(users[1].openings == 1);
    CHECK(read_locks("", byte).empty());
    CHECK(name_byte("weir") != name_byte("weir2"));
}

TEST_CASE("the users of a segment are found by its name, also when it has lost it") {
    const ScratchName scratch;
    CHECK(name_users(scratch.name).empty());
    const SegmentFile file = SegmentFile::open(scratch.options());
    const auto find = [&] {
        const auto users = name_users(scratch.name);
        return users.size() == 1 && users[0].file == file.identity() ? users[0].openings : 0u;
    };
    CHECK(find() == 1);
    const SegmentFile second = SegmentFile::open(scratch.options());
    CHECK(find() == 2);
    CHECK(file.named());
    REQUIRE(Segment::remove(scratch.name));
    CHECK_FALSE(file.named());
    CHECK(find() == 2);
}

TEST_CASE("a name that is removed again and again is not waited for without end") {
    const ScratchName scratch;
    // Removed by the creator itself as soon as it is opened: the file it then holds is nobody's.
    static std::string path;
    path = scratch.path();
    CHECK(in_child([&] {
              creation_hook = [](CreationStep step) {
                  if (step == CreationStep::opened) ::unlink(path.c_str());
              };
              SegmentOptions options = scratch.options();
              options.wait_max = std::chrono::milliseconds(50);
              return reason_of([&] { Segment::open(options); }) == Attach::not_ready ? 0 : 1;
          }) == 0);
}

TEST_CASE("an application that closes our descriptor, and reuses its number, keeps its own file") {
    const ScratchName scratch;
    SegmentFile file = SegmentFile::open(scratch.options());
    const int number = file.fd();
    REQUIRE(number >= 0);
    REQUIRE(try_lock_byte(number, kLockParticipants));
    const int theirs = ::memfd_create("weir-theirs", MFD_CLOEXEC);
    REQUIRE(theirs >= 0);
    SECTION("closed") {
        REQUIRE(::close(number) == 0);
        CHECK(file.fd() == -1);
        CHECK_FALSE(try_lock_byte(file.fd(), kLockParticipants));
        CHECK(locked_by_another(file.fd(), kLockParticipants));  // the living are not taken for dead
        REQUIRE(file.reopen());
        CHECK(try_lock_byte(file.fd(), kLockParticipants));
        CHECK(file.whole());
    }
    SECTION("reused") {
        REQUIRE(::dup2(theirs, number) == number);
        CHECK(file.fd() == -1);
        CHECK(file.whole());
        { const SegmentFile gone = std::move(file); }
        CHECK(::fcntl(number, F_GETFD) >= 0);  // not closed
        ::close(number);
    }
    SECTION("closed after the name was removed") {
        REQUIRE(::close(number) == 0);
        REQUIRE(Segment::remove(scratch.name));
        CHECK_FALSE(file.reopen());
        CHECK(file.fd() == -1);
    }
    ::close(theirs);
}

TEST_CASE("a descriptor that is handed down leads to the segment, whatever its name does") {
    const ScratchName scratch;
    Segment first = Segment::open(scratch.options());
    const SegmentFile held = SegmentFile::open(scratch.options());
    SegmentOptions options = scratch.options();
    options.descriptor = held.fd();
    first.limiter({"key", "a"}, 10);
    CHECK(Segment::open(options).limiters(now()).size() == 1);
    options.descriptor = STDIN_FILENO;
    CHECK(reason_of([&] { Segment::open(options); }) != Attach::attached);
    options.descriptor = 100'000;
    CHECK(reason_of([&] { Segment::open(options); }) == Attach::failed);
}
