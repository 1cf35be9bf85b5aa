// What an upstream says has arrived at it: the independent record that a limiter is judged by.
//
// Thread safety: pure.
#pragma once

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "loadtest/batch.hpp"

namespace weir::loadtest {

/// One request that reached the upstream. Whatever the upstream made of it, the limiter in front of
/// it had admitted it.
struct Arrival {
    enum class Verdict : std::uint8_t {
        accepted,
        refused,  ///< over the upstream's own limit
        failed,   ///< answered with an error, on purpose
    };
    Nanos at{0};
    Verdict verdict = Verdict::accepted;
};

struct Ledger {
    std::string url;                      ///< where it was read
    std::optional<std::uint64_t> limit;   ///< arrivals per window that may not be exceeded
    std::optional<std::uint64_t> token_limit;  ///< tokens per window, where those are what is limited
    std::uint64_t dropped = 0;            ///< arrivals that it has forgotten
    std::vector<Arrival> arrivals;        ///< in the order of `at`
};

/// The text is not a ledger; says where and what was expected.
class BadLedger : public std::runtime_error {
 public:
    using std::runtime_error::runtime_error;
};

/// When a ledger was asked for and when its answer was there, by our clock.
struct RoundTrip {
    Nanos sent{0};
    Nanos received{0};
};

/// Reads what `GET /__ledger` of weir-fake-server answers. `limit` is that server's own, if it has
/// one. If the answer was made within the round trip by the server's clock, that clock is ours: both are
/// on one host. Otherwise its times are translated, to within half of the round trip. Throws BadLedger.
Ledger parse_ledger(std::string_view url, std::string_view json, const RoundTrip& trip);

}  // namespace weir::loadtest
