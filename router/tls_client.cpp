#include "router/tls_client.hpp"

#include <openssl/tls1.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <boost/asio/ip/address.hpp>

namespace weir::router {

bool expect_host(SSL* tls, std::string host) {
    if (!host.empty() && host.back() == '.') host.pop_back();
    SSL_set_verify(tls, SSL_VERIFY_PEER, nullptr);
    ErrorCode is_name;
    asio::ip::make_address(host, is_name);
    if (!is_name) return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(tls), host.c_str()) == 1;
    // What SSL_set_tlsext_host_name does, without its C cast; the name is copied. RFC 6066 allows no address
    // there.
    const auto named = SSL_ctrl(tls, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                                const_cast<char*>(host.c_str()));
    return named == 1 && SSL_set1_host(tls, host.c_str()) == 1;
}

std::string handshake_failure(const SSL* tls, const ErrorCode& error) {
    const long verdict = SSL_get_verify_result(tls);
    if (verdict == X509_V_OK) return error.message();
    return std::string("its certificate is not accepted: ") + X509_verify_cert_error_string(verdict);
}

}  // namespace weir::router
