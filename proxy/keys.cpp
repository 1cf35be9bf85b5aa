#include "proxy/keys.hpp"

#include <openssl/crypto.h>
#include <openssl/sha.h>

namespace weir::proxy {
namespace {

router::ApiError unauthorized(std::string message) {
    router::ApiError error;
    error.status = 401;
    error.type = "auth_error";
    error.message = "Authentication Error, " + std::move(message);
    return error;
}

/// The key that a request presents, or why there is none.
std::variant<std::string_view, router::ApiError> presented(const router::Fields& fields) {
    const std::string_view authorization = fields.get("authorization");
    if (authorization.empty()) {
        for (const std::string_view other : {"api-key", "x-api-key"}) {
            if (const std::string_view key = fields.get(other); !key.empty()) return key;
        }
        return unauthorized("No api key passed in.");
    }
    constexpr std::string_view scheme = "Bearer ";
    const bool bearer = authorization.size() > scheme.size() &&
                        router::same_name(authorization.substr(0, scheme.size()), scheme);
    if (!bearer) return unauthorized("Malformed API Key passed in. Ensure Key has `Bearer ` prefix.");
    return authorization.substr(scheme.size());
}

}  // namespace

Keys::Keys(const router::RouterConfig& config) {
    if (!config.master_key.empty()) entries_.push_back({digest(config.master_key), {"master key"}});
}

std::variant<const Identity*, router::ApiError> Keys::identify(const router::Fields& fields) const {
    if (entries_.empty()) return &anybody_;
    const auto key = presented(fields);
    if (const auto* error = std::get_if<router::ApiError>(&key)) return *error;
    const Digest wanted = digest(std::get<std::string_view>(key));
    const Identity* found = nullptr;
    for (const Entry& entry : entries_) {
        // Every entry is looked at, so the time does not tell which one it was.
        if (CRYPTO_memcmp(entry.digest.data(), wanted.data(), wanted.size()) == 0) found = &entry.identity;
    }
    if (!found) return unauthorized("Invalid proxy server token passed.");
    return found;
}

Keys::Digest Keys::digest(std::string_view key) {
    Digest out;
    SHA256(reinterpret_cast<const unsigned char*>(key.data()), key.size(), out.data());
    return out;
}

}  // namespace weir::proxy
