// The client's part of a TLS handshake: whom it is for, and why it failed.
//
// Thread safety: none.
#pragma once

#include <openssl/ssl.h>

#include <string>

#include "router/net.hpp"

namespace weir::router {

/// Makes `tls` name `host` in its greeting, if it is a name, and accept only a certificate that is valid for
/// it. A dot at the end of an absolute name is no part of either (RFC 6066, section 3). False if memory is
/// short.
bool expect_host(SSL* tls, std::string host);

/// Why a handshake of `tls` failed with `error`, for people: "its certificate is not accepted: certificate
/// has expired". It names no secret.
std::string handshake_failure(const SSL* tls, const ErrorCode& error);

}  // namespace weir::router
