// What weir-inspect prints: each view of a segment as a table or as JSON.
//
// Thread safety: none.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "shm/inspector.hpp"

namespace weir::shm {

struct ViewOptions {
    bool json = false;
    bool colour = false;
    std::size_t decisions_max = 40;
};

class InspectView {
 public:
    /// `segment` must outlive the view.
    InspectView(const Segment& segment, const ViewOptions& options);

    /// "list", "participants", "gauges", "waiting", "hosts", "health", "cooldown", "counters", "recorder",
    /// "audit" or "info".
    std::string render(std::string_view view, Nanos now);

    /// Whether an audit that was rendered found a violated limit.
    bool violated() const noexcept { return violated_; }

 private:
    std::string limiters(Nanos now) const;
    std::string participants(Nanos now) const;
    std::string gauges() const;
    std::string waiting(Nanos now) const;
    std::string hosts(Nanos now) const;
    std::string health(Nanos now) const;
    std::string cooldowns(Nanos now) const;
    std::string counters() const;
    std::string recorder(Nanos now) const;
    std::string audit(Nanos now);
    std::string info(Nanos now) const;

    const Segment& segment_;
    Inspector inspector_;
    ViewOptions options_;
    bool violated_ = false;
};

/// Names come from configuration and clients: what a terminal could act on is shown as \xNN.
std::string printable(std::string_view text);

}  // namespace weir::shm
