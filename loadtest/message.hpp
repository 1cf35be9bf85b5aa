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
#include "loadtest/latencies.hpp"

namespace weir::loadtest {

/// Parent to worker: send `requests` from `start` on. The end of the stream means: finish.
///
/// With an `interval` of 0 all are sent at once and wait for one another. Otherwise the loop is open:
/// request i is due at start + first + i * interval whatever became of those before it, and what became of
/// it is reported for each `slice` of the time since `start`.
struct Order {
    std::uint64_t requests = 0;
    Nanos start{0};
    Nanos first{0};
    Nanos interval{0};
    Nanos slice{0};
};

/// Worker to parent.
struct Report {
    enum class Kind : std::uint8_t {
        ready,     ///< can take orders
        progress,  ///< `batch.tally` so far
        slice,     ///< one slice of an open loop, number `index`
        done,      ///< the whole batch
        failed,    ///< cannot go on; `error` says why
    };
    Kind kind = Kind::ready;
    Batch batch;
    std::uint64_t index = 0;
    Latencies latencies;             ///< of an open loop, when it is done
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
