#include "router/failure_log.hpp"

#include <functional>

namespace weir::router {

std::optional<std::string> FailureLog::note(std::string_view text, shm::Nanos now) {
    const auto known = logged_.find(text);
    if (known == logged_.end()) {
        if (logged_.size() >= kTextsMax) logged_.clear();
        logged_.emplace(text, Logged{now, 0});
        return std::string(text);
    }
    Logged& logged = known->second;
    if (now - logged.at < kPause) {
        ++logged.since;
        return std::nullopt;
    }
    std::string line(text);
    if (logged.since > 0) line += " (and " + std::to_string(logged.since) + " times before)";
    logged = {now, 0};
    return line;
}

}  // namespace weir::router
