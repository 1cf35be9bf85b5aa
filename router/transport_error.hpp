// What can go wrong between us and an upstream before an answer is complete.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace weir::router {

enum class TransportError : std::uint8_t {
    none,
    resolve,             ///< its name is not known
    connect,             ///< refused or unreachable
    tls,                 ///< handshake failed or the certificate is not trusted
    connect_timeout,     ///< connecting took too long, or finding out its address did
    pool_full,           ///< none of our own connections to it came free in time
    out_of_resources,    ///< this process or host has no descriptor, port or memory left for it
    closed,              ///< closed before the first byte of the answer
    first_byte_timeout,  ///< connected, but no head of an answer in time
    stalled,             ///< the answer began, then nothing more came in time
    overran,             ///< a stream that went on for longer than it may in all
    broken,              ///< the answer began, then the connection ended within it
    malformed,           ///< what came is not HTTP/1.1, or its head is too large
    redirected,          ///< it sent us elsewhere, where we do not follow (router/redirect.hpp)
};

/// Whether the request may have reached the upstream, so that it may have been counted and worked on.
constexpr bool may_have_arrived(TransportError error) noexcept {
    return error >= TransportError::closed;
}

/// For people: "the upstream closed the connection before it answered".
std::string_view to_string(TransportError error) noexcept;

/// The same with what more is known: "the TLS handshake with the upstream failed: REASON"; `reason` may be
/// empty.
std::string describe(TransportError error, std::string_view reason);

}  // namespace weir::router
