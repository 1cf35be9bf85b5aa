// Counts for Prometheus, kept in the segment: whichever worker is asked for /metrics answers for
// all. Names are LiteLLM's where it has them.
//
// Thread safety: none; process safety: all of it.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "proxy/served.hpp"
#include "router/router.hpp"
#include "shm/segment.hpp"

namespace weir::proxy {

class Metrics {
 public:
    /// `segment` must outlive it.
    explicit Metrics(shm::Segment& segment) : segment_(segment) {}

    /// Counts a request that went to a model.
    void count(const Served& served);

 private:
    void add(std::string_view name, const std::string& labels, std::uint64_t amount);
    void observe(std::string_view name, const std::string& labels, shm::Nanos duration);

    shm::Segment& segment_;
    std::map<std::string, shm::Counter, std::less<>> counters_;  // by name and labels
    std::string name_;                                           // reused
};

/// The page at /metrics: what is counted, and what the segment holds at this moment.
std::string metrics_page(router::Router& router, shm::Nanos now);

/// `text` as the value of a label.
std::string label_value(std::string_view text);

}  // namespace weir::proxy
