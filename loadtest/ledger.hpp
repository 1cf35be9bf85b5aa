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
    std::uint64_t dropped = 0;            ///< arrivals that it has forgotten
    std::vector<Arrival> arrivals;        ///< in the order of `at`
};

/// The text is not a ledger; says where and what was expected.
class BadLedger : public std::runtime_error {
 public:
    using std::runtime_error::runtime_error;
};

/// Reads what `GET /__ledger` of weir-fake-server answers. `limit` is that server's own, if it has
/// one. The server's clock is translated to ours, `read_at` being when the answer was made: exact
/// between processes of one host, to within half of the round trip otherwise. Throws BadLedger.
Ledger parse_ledger(std::string_view url, std::string_view json, Nanos read_at);

}  // namespace weir::loadtest
