// Who may use the proxy: the key of a request, checked.
//
// Keys are kept as their SHA-256 and compared in constant time, so neither memory nor timing tells
// one. No key appears in a message.
//
// Thread safety: const members from any thread.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "router/api_error.hpp"
#include "router/config.hpp"
#include "router/fields.hpp"

namespace weir::proxy {

/// Whom a key belongs to.
struct Identity {
    std::string name;      ///< "master key", or as configured
};

class Keys {
 public:
    /// With no master key configured, everybody may do everything, as in LiteLLM.
    explicit Keys(const router::RouterConfig& config);

    /// Whom `fields` identify: "authorization: Bearer …", or "api-key" and "x-api-key" as Azure's
    /// and Anthropic's clients send it. Otherwise a 401 that says what is missing.
    std::variant<const Identity*, router::ApiError> identify(const router::Fields& fields) const;

 private:
    using Digest = std::array<unsigned char, 32>;
    struct Entry {
        Digest digest;
        Identity identity;
    };
    static Digest digest(std::string_view key);

    std::vector<Entry> entries_;
    Identity anybody_{"anonymous"};
};

}  // namespace weir::proxy
