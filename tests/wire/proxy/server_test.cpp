// Where the proxy listens.
#include "proxy/server.hpp"

#include <catch2/catch.hpp>
#include <unistd.h>

#include <string>


using namespace weir::proxy;

namespace {

/// Closes a descriptor at the end.
struct Closed {
    int descriptor;
    ~Closed() { ::close(descriptor); }
};

std::string failure(const std::string& host, std::uint16_t port) {
    try {
        ::close(listen_on(host, port, false));
        return {};
    } catch (const std::runtime_error& error) {
        return error.what();
    }
}

}  // namespace

TEST_CASE("Port 0 is any free one, and it is known which") {
    const Closed one{listen_on("127.0.0.1", 0, false)};
    const Closed other{listen_on("localhost", 0, false)};
    CHECK(port_of(one.descriptor) != 0);
    CHECK(port_of(other.descriptor) != 0);
    CHECK(port_of(one.descriptor) != port_of(other.descriptor));
}

TEST_CASE("A port that is taken, and a host that is none, are named") {
    const Closed one{listen_on("127.0.0.1", 0, false)};
    const std::uint16_t port = port_of(one.descriptor);
    CHECK(failure("127.0.0.1", port) ==
          "cannot listen on 127.0.0.1:" + std::to_string(port) + ": Address already in use");
    CHECK(failure("no host", 0).find("cannot listen on no host: ") == 0);
    CHECK(failure("203.0.113.1", 0).find("Cannot assign requested address") != std::string::npos);
}

TEST_CASE("Workers share a port if all of them say so") {
    const Closed one{listen_on("127.0.0.1", 0, true)};
    const std::uint16_t port = port_of(one.descriptor);
    const Closed other{listen_on("127.0.0.1", port, true)};
    CHECK(port_of(other.descriptor) == port);
    CHECK_FALSE(failure("127.0.0.1", port).empty());
}
