// What the parent of a load test and its working processes tell one another, one message per packet
// of a local socket pair.
//
// Thread safety: values.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>

#include "loadtest/batch.hpp"

namespace weir::loadtest {

/// Parent to worker: send `requests` at `start`. The end of the stream means: finish.
struct Order {
    std::uint64_t requests = 0;
    Nanos start{0};
};

/// Worker to parent.
struct Report {
    enum class Kind : std::uint8_t {
        ready,     ///< can take orders
        progress,  ///< `batch.tally` so far
        done,      ///< the whole batch
        failed,    ///< cannot go on; `error` says why
    };
    Kind kind = Kind::ready;
    Batch batch;
    std::array<char, 512> error{};  ///< ends in a zero

    void set_error(std::string_view text) noexcept {
        text.copy(error.data(), error.size() - 1);
    }
};

static_assert(std::is_trivially_copyable_v<Order> && std::is_trivially_copyable_v<Report>);

/// Sends one packet. False if the peer is gone, or if the socket is full and `wait` is false.
bool send_packet(int socket, std::span<const std::byte> bytes, bool wait) noexcept;

/// Receives one packet of exactly this size, waiting for it. False if the peer is gone.
bool receive_packet(int socket, std::span<std::byte> bytes) noexcept;

template <class Message>
bool send_message(int socket, const Message& message, bool wait = true) noexcept {
    return send_packet(socket, std::as_bytes(std::span(&message, 1)), wait);
}

template <class Message>
bool receive_message(int socket, Message& message) noexcept {
    return receive_packet(socket, std::as_writable_bytes(std::span(&message, 1)));
}

}  // namespace weir::loadtest
