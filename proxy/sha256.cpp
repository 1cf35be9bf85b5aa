#include "proxy/sha256.hpp"

#include <openssl/crypto.h>

#include <stdexcept>

namespace weir::proxy {

Sha256::Sha256() : algorithm_(EVP_MD_fetch(nullptr, "SHA256", nullptr)), context_(EVP_MD_CTX_new()) {
    if (!algorithm_ || !context_) throw std::runtime_error("OpenSSL offers no SHA-256");
}

Sha256::Digest Sha256::operator()(std::string_view text) const {
    Digest digest{};
    const bool done = EVP_DigestInit_ex2(context_.get(), algorithm_.get(), nullptr) == 1 &&
                      EVP_DigestUpdate(context_.get(), text.data(), text.size()) == 1 &&
                      EVP_DigestFinal_ex(context_.get(), digest.data(), nullptr) == 1;
    if (!done) throw std::runtime_error("OpenSSL failed to compute a SHA-256");
    return digest;
}

const Sha256::Digest& LastDigest::of(std::string_view text, const Sha256& sha256) {
    const bool same = digest_ && text.size() == text_.size() &&
                      CRYPTO_memcmp(text.data(), text_.data(), text.size()) == 0;
    if (same) return *digest_;
    digest_.reset();
    text_ = text;
    return digest_.emplace(sha256(text));
}

}  // namespace weir::proxy
