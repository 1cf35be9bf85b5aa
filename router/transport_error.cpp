#include "router/transport_error.hpp"

namespace weir::router {

std::string_view to_string(TransportError error) noexcept {
    switch (error) {
        case TransportError::none: return "no error";
        case TransportError::resolve: return "the upstream's host name could not be resolved";
        case TransportError::connect: return "the upstream refused the connection or is unreachable";
        case TransportError::tls: return "the TLS handshake with the upstream failed";
        case TransportError::connect_timeout: return "connecting to the upstream took too long";
        case TransportError::pool_full:
            return "all connections that this process may have to the upstream are in use";
        case TransportError::out_of_resources:
            return "this process has no descriptors, ports or memory left for a connection to the upstream";
        case TransportError::closed: return "the upstream closed the connection before it answered";
        case TransportError::first_byte_timeout: return "the upstream did not answer in time";
        case TransportError::stalled: return "the upstream's answer stopped half-way";
        case TransportError::overran: return "the upstream's answer took longer than it may in all";
        case TransportError::broken: return "the upstream closed the connection within its answer";
        case TransportError::malformed: return "the upstream's answer is not valid HTTP/1.1";
        case TransportError::redirected: return "the upstream redirects instead of answering";
    }
    return "unknown";
}

std::string describe(TransportError error, std::string_view reason) {
    std::string text(to_string(error));
    if (!reason.empty()) text.append(": ").append(reason);
    return text;
}

}  // namespace weir::router
