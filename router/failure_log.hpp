// Which failures of upstreams are worth a line in a log: an upstream that is down fails every request alike.
//
// Thread safety: none. Time is an argument.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "shm/clock.hpp"

namespace weir::router {

class FailureLog {
 public:
    /// The same text is logged once in so long.
    static constexpr shm::Nanos kPause = std::chrono::seconds(10);
    /// So many texts are remembered; then all are forgotten.
    static constexpr std::size_t kTextsMax = 256;

    /// A failure of which `text` says everything. Returns the line to log, with how often it has come since
    /// the line before; nothing if it is not due.
    std::optional<std::string> note(std::string_view text, shm::Nanos now);

 private:
    struct Logged {
        shm::Nanos at{};
        std::uint64_t since = 0;
    };
    std::map<std::string, Logged, std::less<>> logged_;
};

}  // namespace weir::router
