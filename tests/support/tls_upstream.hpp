// An upstream behind TLS with a certificate of its own making, and the name that its client asked
// for.
#pragma once

#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/write.hpp>
#include <array>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace weir::test {

/// A self-signed certificate with its key, as files that go with the test.
class Certificate {
 public:
    /// `names` as X509 writes them: "DNS:localhost,IP:127.0.0.1".
    /// It is valid from a minute ago until `seconds` from now.
    explicit Certificate(const std::string& names, long seconds = 3600) {
        static int count = 0;
        const std::string stem = "weir-test-" + std::to_string(::getpid()) + "-" + std::to_string(++count);
        certificate_ = std::filesystem::temp_directory_path() / (stem + ".crt");
        key_ = std::filesystem::temp_directory_path() / (stem + ".key");
        const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(EVP_EC_gen("P-256"), EVP_PKEY_free);
        const std::unique_ptr<X509, decltype(&X509_free)> made(X509_new(), X509_free);
        X509_set_version(made.get(), 2);
        ASN1_INTEGER_set(X509_get_serialNumber(made.get()), count);
        X509_gmtime_adj(X509_getm_notBefore(made.get()), -60);
        X509_gmtime_adj(X509_getm_notAfter(made.get()), seconds);
        X509_set_pubkey(made.get(), key.get());
        const std::unique_ptr<X509_EXTENSION, decltype(&X509_EXTENSION_free)> alternatives(
            X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, names.c_str()), X509_EXTENSION_free);
        X509_add_ext(made.get(), alternatives.get(), -1);
        if (X509_sign(made.get(), key.get(), EVP_sha256()) == 0) throw std::runtime_error("no certificate");
        std::FILE* file = std::fopen(certificate_.c_str(), "w");
        PEM_write_X509(file, made.get());
        std::fclose(file);
        file = std::fopen(key_.c_str(), "w");
        PEM_write_PrivateKey(file, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
        std::fclose(file);
    }
    ~Certificate() {
        std::filesystem::remove(certificate_);
        std::filesystem::remove(key_);
    }
    Certificate(const Certificate&) = delete;
    Certificate& operator=(const Certificate&) = delete;

    const std::filesystem::path& certificate() const { return certificate_; }
    const std::filesystem::path& key() const { return key_; }

 private:
    std::filesystem::path certificate_;
    std::filesystem::path key_;
};

/// Answers one request of each connection with the same JSON, one connection after the other. Where something
/// is to come `behind` the first answer, that connection stays open until its client leaves.
class TlsUpstream {
    using Tcp = boost::asio::ip::tcp;

 public:
    explicit TlsUpstream(const Certificate& certificate, std::string behind = {})
        : behind_(std::move(behind)),
          context_(boost::asio::ssl::context::tls_server),
          acceptor_(io_, Tcp::endpoint(boost::asio::ip::address_v4::loopback(), 0)) {
        context_.use_certificate_file(certificate.certificate(), boost::asio::ssl::context::pem);
        context_.use_private_key_file(certificate.key(), boost::asio::ssl::context::pem);
        port_ = acceptor_.local_endpoint().port();
        thread_ = std::thread([this] { serve(); });
    }
    ~TlsUpstream() {
        // The last one: it wakes the thread, which sees that it is to end.
        {
            const std::lock_guard lock(mutex_);
            ending_ = true;
        }
        Tcp::socket last(io_);
        boost::system::error_code ignored;
        last.connect(Tcp::endpoint(boost::asio::ip::address_v4::loopback(), port_), ignored);
        last.close(ignored);
        thread_.join();
    }
    TlsUpstream(const TlsUpstream&) = delete;
    TlsUpstream& operator=(const TlsUpstream&) = delete;

    std::string base(const std::string& host) const {
        return "https://" + host + ":" + std::to_string(port_);
    }
    /// What clients named in their greeting, in order; "" for none.
    std::vector<std::string> names() const {
        const std::lock_guard lock(mutex_);
        return names_;
    }

 private:
    void serve() {
        for (;;) {
            Tcp::socket socket(io_);
            boost::system::error_code error;
            acceptor_.accept(socket, error);
            {
                const std::lock_guard lock(mutex_);
                if (ending_) return;
            }
            boost::asio::ssl::stream<Tcp::socket&> tls(socket, context_);
            tls.handshake(boost::asio::ssl::stream_base::server, error);
            if (error) continue;
            const char* name = SSL_get_servername(tls.native_handle(), TLSEXT_NAMETYPE_host_name);
            {
                const std::lock_guard lock(mutex_);
                names_.emplace_back(name != nullptr ? name : "");
            }
            answer(tls);
        }
    }

    template <class Stream>
    void answer(Stream& tls) {
        std::string request;
        std::array<char, 4096> buffer{};
        boost::system::error_code error;
        while (request.find("}") == std::string::npos) {
            request.append(buffer.data(), tls.read_some(boost::asio::buffer(buffer), error));
            if (error) return;
        }
        const std::string body =
            R"({"usage":{"prompt_tokens":9,"completion_tokens":12,"total_tokens":21}})";
        const std::string behind = std::exchange(behind_, {});
        // Both leave in one segment, so that the client's TLS reads both when it reads the first.
        const int cork = behind.empty() ? 0 : 1;
        const int socket = tls.next_layer().native_handle();
        ::setsockopt(socket, IPPROTO_TCP, TCP_CORK, &cork, sizeof cork);
        boost::asio::write(tls, boost::asio::buffer("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
                                                    "content-length: " + std::to_string(body.size()) +
                                                    (behind.empty() ? "\r\nconnection: close" : "") +
                                                    "\r\n\r\n" + body),
                           error);
        if (behind.empty()) return;
        boost::asio::write(tls, boost::asio::buffer(behind), error);
        const int off = 0;
        ::setsockopt(socket, IPPROTO_TCP, TCP_CORK, &off, sizeof off);
        while (!error) tls.read_some(boost::asio::buffer(buffer), error);
    }

    std::string behind_;  // the thread's
    boost::asio::io_context io_;
    boost::asio::ssl::context context_;
    Tcp::acceptor acceptor_;
    std::uint16_t port_ = 0;
    mutable std::mutex mutex_;
    std::vector<std::string> names_;
    bool ending_ = false;
    std::thread thread_;
};

}  // namespace weir::test
