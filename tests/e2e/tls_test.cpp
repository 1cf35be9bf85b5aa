// Clients that speak TLS with the proxy.
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <array>
#include <catch2/catch.hpp>
#include <cstdio>
#include <memory>

#include "tests/support/program.hpp"
#include "tests/support/raw_client.hpp"
#include "tests/support/scratch.hpp"

using namespace weir::test;

namespace {

template <auto Free>
struct Freed {
    template <class T>
    void operator()(T* pointer) const {
        Free(pointer);
    }
};
using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Freed<X509_free>>;

/// A certificate of its own signing, good for an hour, and its key.
void write_certificate(const std::string& certificate_file, const std::string& key_file) {
    const Key key(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"));
    const Certificate certificate(X509_new());
    REQUIRE(key);
    X509_set_version(certificate.get(), 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -60);
    X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3600);
    X509_set_pubkey(certificate.get(), key.get());
    X509_NAME* name = X509_get_subject_name(certificate.get());
    const std::array<unsigned char, 10> host{'l', 'o', 'c', 'a', 'l', 'h', 'o', 's', 't', 0};
    X509_NAME_add_entry_by_txt(name, "CN", V_ASN1_UTF8STRING, host.data(), 9, -1, 0);
    X509_set_issuer_name(certificate.get(), name);
    REQUIRE(X509_sign(certificate.get(), key.get(), EVP_sha256()) > 0);
    const auto write = [](const std::string& path, auto put) {
        std::FILE* file = std::fopen(path.c_str(), "w");
        REQUIRE(file != nullptr);
        CHECK(put(file) == 1);
        std::fclose(file);
    };
    write(certificate_file,
          [&](std::FILE* file) { return PEM_write_X509(file, certificate.get()); });
    write(key_file, [&](std::FILE* file) {
        return PEM_write_PrivateKey(file, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    });
}

/// One request over TLS; empty if there is none.
std::string ask_over_tls(std::uint16_t port, int version_max = 0) {
    const std::unique_ptr<SSL_CTX, Freed<SSL_CTX_free>> context(SSL_CTX_new(TLS_client_method()));
    if (version_max != 0) SSL_CTX_set_max_proto_version(context.get(), version_max);
    RawClient client(port);
    const std::unique_ptr<SSL, Freed<SSL_free>> tls(SSL_new(context.get()));
    SSL_set_fd(tls.get(), client.descriptor());
    if (SSL_connect(tls.get()) != 1) return {};
    const std::string request =
        "GET /health/liveliness HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    if (SSL_write(tls.get(), request.data(), static_cast<int>(request.size())) <= 0) return {};
    std::string answer;
    std::array<char, 4096> buffer;
    for (int got = 0; (got = SSL_read(tls.get(), buffer.data(), buffer.size())) > 0;) {
        answer.append(buffer.data(), static_cast<std::size_t>(got));
    }
    return answer;
}

std::string config_of(const ScratchSegment& segment) {
    return "model_list: [{model_name: m, litellm_params: {model: openai/m, api_base: "
           "http://127.0.0.1:1}}]\n"
           "weir_settings: {segment: " +
           segment.name() + ", clients: {head_timeout_seconds: 0.3}}\n";
}

}  // namespace

TEST_CASE("with a certificate the proxy speaks TLS, and nothing older than 1.2") {
    const ScratchSegment segment;
    const ScratchFolder folder;
    const std::string workers = GENERATE("1", "2");
    write_certificate(folder.path("cert.pem"), folder.path("key.pem"));
    Program proxy({"weir-proxy", "--config", folder.write("c.yaml", config_of(segment)), "--host",
                   "127.0.0.1", "--port", "0", "--num_workers", workers, "--ssl_certfile_path",
                   folder.path("cert.pem"), "--ssl_keyfile_path", folder.path("key.pem")});
    proxy.wait_for_output("listening on https://127.0.0.1:");
    const std::string output = proxy.output();
    const auto port = static_cast<std::uint16_t>(std::stoul(output.substr(output.rfind(':') + 1)));
    CHECK(ask_over_tls(port).find("I'm alive!") != std::string::npos);
    CHECK(ask_over_tls(port, TLS1_2_VERSION).find("I'm alive!") != std::string::npos);
    CHECK(ask_over_tls(port, TLS1_1_VERSION).empty());
    // Who speaks no TLS, or does not speak at all, is let go.
    RawClient plain(port);
    CHECK(plain.get("/health/liveliness").status != 200);
    RawClient silent(port);
    CHECK(silent.ended());
    CHECK(proxy.stop() == 0);
}

TEST_CASE("certificates that cannot be used are told, and nothing starts") {
    const ScratchSegment segment;
    const ScratchFolder folder;
    write_certificate(folder.path("cert.pem"), folder.path("key.pem"));
    write_certificate(folder.path("other.pem"), folder.path("other-key.pem"));
    const auto start = [&](const std::string& certificate, const std::string& key) {
        return run({"weir-proxy", "--config", folder.write("c.yaml", config_of(segment)), "--port",
                    "0", "--ssl_certfile_path", folder.path(certificate), "--ssl_keyfile_path",
                    folder.path(key)});
    };
    const Finished missing = start("none.pem", "key.pem");
    CHECK(missing.status == 3);
    CHECK(missing.errors.find("none.pem") != std::string::npos);
    const Finished mismatch = start("cert.pem", "other-key.pem");
    CHECK(mismatch.status == 3);
    CHECK(mismatch.errors.find("not the key of the certificate") != std::string::npos);
}
