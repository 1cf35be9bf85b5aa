#include "router/round_trip.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cstddef>
#include <cstdint>

namespace weir::router {
namespace {

/// The kernel's tcp_info as far as we need it (linux/tcp.h); glibc's ends earlier, and both clash.
struct TcpInfo {
    tcp_info known;
    std::uint64_t rates_and_bytes[4];
    std::uint32_t segments_and_unsent[3];
    std::uint32_t min_rtt;  // microseconds
};
static_assert(offsetof(TcpInfo, min_rtt) == 148, "where the kernel writes it");

}  // namespace

shm::Nanos shortest_round_trip(int socket) noexcept {
    TcpInfo info{};
    socklen_t size = sizeof info;
    constexpr std::uint32_t unknown = ~std::uint32_t{0};
    const bool told = ::getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 && size >= sizeof info;
    if (!told || info.min_rtt == unknown) return {};
    return std::chrono::microseconds(info.min_rtt);
}

}  // namespace weir::router
