// Counts for Prometheus, kept in the segment: whichever worker is asked for /metrics answers for
// all. Names are LiteLLM's where it has them.
//
// Thread safety: none; process safety: all of it.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/served.hpp"
#include "router/router.hpp"
#include "shm/segment.hpp"

namespace weir::proxy {

/// Finds each counter once, by its name and labels, and then adds to it: one atomic addition.
class Metrics {
 public:
    /// `segment` must outlive it.
    explicit Metrics(shm::Segment& segment) : segment_(segment) {}

    /// Counts a request that went to a model.
    void count(const Served& served);

    /// Upper edges of the histograms' buckets, in seconds; what is slower has a bucket of its own.
    static constexpr std::array<double, 11> kBuckets = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                                                        0.5,   1,    2.5,   10,   60};

 private:
    /// Empty until it is first added to. A counter for which the segment has no room is null.
    using Cell = std::optional<shm::Counter>;

    struct Histogram {
        std::array<Cell, kBuckets.size() + 1> buckets;
        Cell micros;
    };
    struct HistogramNames {
        std::string_view bucket, micros;
    };
    static constexpr HistogramNames kLatency = {"litellm_request_total_latency_metric_bucket",
                                                "litellm_request_total_latency_metric_micros"};
    static constexpr HistogramNames kUpstreamLatency = {"litellm_llm_api_latency_metric_bucket",
                                                        "litellm_llm_api_latency_metric_micros"};
    static constexpr HistogramNames kFirstPiece = {"litellm_llm_api_time_to_first_token_metric_bucket",
                                                   "litellm_llm_api_time_to_first_token_metric_micros"};
    struct Status {
        unsigned code;
        Cell requests, failed;
    };
    struct Group {
        Cell refused, total_tokens, input_tokens, output_tokens;
        Histogram latency, upstream_latency, first_piece;
        std::map<std::string, std::vector<Status>, std::less<>> by_key;
    };
    struct Deployment {
        Cell requests, succeeded, failed;
    };

    void count_status(Group& group, std::string_view model, const Served& served);
    void count_deployment(const Served& served);
    template <class MakeLabels>
    void add(Cell& cell, std::string_view name, std::uint64_t amount, const MakeLabels& labels);
    template <class MakeLabels>
    void observe(Histogram& histogram, const HistogramNames& names, shm::Nanos duration,
                 const MakeLabels& labels);
    shm::Counter find(const std::string& name);

    shm::Segment& segment_;
    std::map<std::string, Group, std::less<>> groups_;
    std::map<std::string, Deployment, std::less<>> deployments_;
};

/// The page at /metrics: what is counted, and what the segment holds at this moment.
std::string metrics_page(router::Router& router, shm::Nanos now);

/// `text` as the value of a label.
std::string label_value(std::string_view text);

}  // namespace weir::proxy
