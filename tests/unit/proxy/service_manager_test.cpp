#include "proxy/service_manager.hpp"

#include <catch2/catch.hpp>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string>

using namespace weir::proxy;

namespace {

/// A manager that listens in the abstract namespace, so that no file is left.
class Manager {
 public:
    Manager() : name_("weir-manager-test-" + std::to_string(::getpid())) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::memcpy(address.sun_path + 1, name_.data(), name_.size());
        const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name_.size());
        socket_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        REQUIRE(::bind(socket_, reinterpret_cast<const sockaddr*>(&address), size) == 0);
    }
    ~Manager() {
        ::close(socket_);
        ::unsetenv("NOTIFY_SOCKET");
    }
    Manager(const Manager&) = delete;
    Manager& operator=(const Manager&) = delete;

    std::string address() const { return "@" + name_; }
    /// The next message, or empty.
    std::string heard() const {
        std::string text(200, '\0');
        const ssize_t got = ::recv(socket_, text.data(), text.size(), 0);
        text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
        return text;
    }

 private:
    std::string name_;
    int socket_ = -1;
};

}  // namespace

TEST_CASE("a manager is told what it asked for, word for word") {
    const Manager manager;
    notify_manager("READY=1");
    CHECK(manager.heard().empty());  // nobody asked
    ::setenv("NOTIFY_SOCKET", manager.address().c_str(), 1);
    notify_manager("READY=1");
    CHECK(manager.heard() == "READY=1");
    notify_reloading();
    const std::string reloading = manager.heard();
    CHECK(reloading.rfind("RELOADING=1\nMONOTONIC_USEC=", 0) == 0);
    CHECK(reloading.find_first_not_of("0123456789", reloading.rfind('=') + 1) == std::string::npos);
}

TEST_CASE("a manager that is not there, or whose address is too long, does no harm") {
    for (const std::string& address :
         {std::string("/nowhere/socket"), std::string(300, 'x'), std::string("@")}) {
        ::setenv("NOTIFY_SOCKET", address.c_str(), 1);
        CHECK_NOTHROW(notify_manager("READY=1"));
    }
    ::unsetenv("NOTIFY_SOCKET");
}

TEST_CASE("a socket is handed down only to the process that is named, and only once") {
    const auto hand_down = [](const std::string& pid, const char* count) {
        ::setenv("LISTEN_PID", pid.c_str(), 1);
        ::setenv("LISTEN_FDS", count, 1);
    };
    const std::string self = std::to_string(::getpid());
    CHECK_FALSE(inherited_socket().has_value());
    hand_down(std::to_string(::getpid() + 1), "1");
    CHECK_FALSE(inherited_socket().has_value());
    for (const char* count : {"0", "-1", "one", ""}) {
        hand_down(self, count);
        CHECK_FALSE(inherited_socket().has_value());
    }
    hand_down(self, "2");
    CHECK_THROWS_WITH(inherited_socket(), "2 sockets were handed down, expected one");
    CHECK(std::getenv("LISTEN_FDS") == nullptr);  // a child must not take it for its own
    CHECK_FALSE(inherited_socket().has_value());
}
