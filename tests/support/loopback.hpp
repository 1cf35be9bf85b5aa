// Sockets on this machine's loopback interface, without an opinion on what goes through them.
//
// Thread safety: all of it.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cstdint>

namespace weir::test {

/// 127.0.0.1:`port`.
inline sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

/// Connects `socket` to 127.0.0.1:`port`. False, with errno set, if that fails.
inline bool connect_to(int socket, std::uint16_t port) {
    const sockaddr_in address = loopback(port);
    // NOLINTNEXTLINE: the socket interface asks for this cast.
    return ::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

/// Binds `socket` to a port of 127.0.0.1 that is free. Returns it; 0 if that fails.
inline std::uint16_t bind_to_free_port(int socket) {
    sockaddr_in address = loopback(0);
    socklen_t size = sizeof address;
    // NOLINTNEXTLINE: the socket interface asks for this cast.
    auto* const any = reinterpret_cast<sockaddr*>(&address);
    if (::bind(socket, any, size) != 0 || ::getsockname(socket, any, &size) != 0) return 0;
    return ntohs(address.sin_port);
}

/// Whoever reads from `socket` gives up after so long without a byte.
inline void set_patience(int socket, int seconds) {
    const timeval patience{seconds, 0};
    ::setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
}

}  // namespace weir::test
