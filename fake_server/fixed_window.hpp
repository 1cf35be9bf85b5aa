// The server's own limit: a fixed window per remote address that begins with the address's first
// request and not at a full minute, as the rate limiting library of the well-known Python fake
// server (slowapi) keeps it. Refused requests do not prolong it.
//
// It is deliberately the naive kind of limit: it is what a limiter in front must never run into.
// Unlike slowapi's default it does not count each path apart: an account has one quota.
//
// Thread safety: none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

namespace weir::fake_server {

/// Lets a std::string_view look up a std::string key without a copy.
struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept {
        return std::hash<std::string_view>{}(text);
    }
};

class FixedWindow {
 public:
    struct Options {
        std::uint64_t requests_max = 100;  ///< per window and address; 0 is no limit
        std::int64_t window_ns = 60'000'000'000;
        std::size_t addresses_max = 65'536;  ///< more at once are refused; memory stays bounded
    };

    /// What became of one request.
    struct Verdict {
        bool admitted = true;
        std::uint64_t remaining = 0;  ///< after this request
        std::int64_t reset_ns = 0;    ///< from now until this address's window ends
    };

    explicit FixedWindow(const Options& options) : options_(options) {}

    /// Counts one request of `address` at `now_ns`, which must not go backwards.
    Verdict admit(std::string_view address, std::int64_t now_ns);

    /// Forgets every window, as a restart would.
    void clear() { windows_.clear(); }

 private:
    struct Window {
        std::int64_t ends_ns = 0;
        std::uint64_t count = 0;
    };

    Window* find_or_add(std::string_view address, std::int64_t now_ns);

    Options options_;
    std::unordered_map<std::string, Window, TextHash, std::equal_to<>> windows_;
};

}  // namespace weir::fake_server
