// SHA-256 of short texts: OpenSSL's, looked up once, for the lookup costs more than the hash.
//
// Thread safety: none.
#pragma once

#include <openssl/evp.h>

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace weir::proxy {

class Sha256 {
 public:
    using Digest = std::array<unsigned char, 32>;

    /// Throws std::runtime_error if OpenSSL is configured to have no SHA-256.
    Sha256();

    /// Throws std::runtime_error where OpenSSL fails.
    Digest operator()(std::string_view text) const;

 private:
    struct Release {
        void operator()(EVP_MD* algorithm) const noexcept { EVP_MD_free(algorithm); }
        void operator()(EVP_MD_CTX* context) const noexcept { EVP_MD_CTX_free(context); }
    };
    std::unique_ptr<EVP_MD, Release> algorithm_;
    std::unique_ptr<EVP_MD_CTX, Release> context_;  // used anew for each text
};

/// The digest of the text that was asked for last: the requests of a connection present one key.
class LastDigest {
 public:
    /// Compares in constant time, for those who share a connection need not be the same.
    const Sha256::Digest& of(std::string_view text, const Sha256& sha256);

 private:
    std::string text_;
    std::optional<Sha256::Digest> digest_;  // of text_
};

}  // namespace weir::proxy
