#include "proxy/metrics.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <set>

#include "shm/health.hpp"

namespace weir::proxy {
namespace {

struct Help {
    std::string_view name;
    std::string_view type;
    std::string_view text;
};

/// Everything that the page may have. Histograms are kept as one counter for each bucket. LiteLLM's counters
/// end in _total on its page, whatever its documentation calls them: its client library appends that.
constexpr std::array kHelp = {
    Help{"litellm_proxy_total_requests_metric_total", "counter",
         "Requests for a model, by what became of them"},
    Help{"litellm_proxy_failed_requests_metric_total", "counter",
         "Requests that were answered with an error"},
    Help{"litellm_deployment_total_requests_total", "counter",
         "Requests that a deployment answered or failed"},
    Help{"litellm_deployment_success_responses_total", "counter", "Of them, those that it answered well"},
    Help{"litellm_deployment_failure_responses_total", "counter", "Of them, those that it failed"},
    Help{"litellm_total_tokens_metric_total", "counter", "Tokens used, by the answers' own count"},
    Help{"litellm_input_tokens_metric_total", "counter", "Of them, prompt tokens"},
    Help{"litellm_output_tokens_metric_total", "counter", "Of them, completion tokens"},
    Help{"litellm_request_total_latency_metric", "histogram",
         "Seconds from a request to the end of its answer"},
    Help{"litellm_llm_api_latency_metric", "histogram", "Seconds of it until the upstream's answer began"},
    Help{"litellm_llm_api_time_to_first_token_metric", "histogram",
         "Seconds until the first piece of an upstream's stream"},
    Help{"weir_refused_requests_total", "counter", "Requests refused by a limit, by that limit's kind"},
};

constexpr auto& kBuckets = Metrics::kBuckets;

std::string bucket_label(std::size_t index) {
    return index < kBuckets.size() ? fmt::format("{:g}", kBuckets[index]) : "+Inf";
}

std::string_view base_name(std::string_view name) { return name.substr(0, name.find('{')); }

void describe(std::string& page, std::string_view name, std::string_view type, std::string_view text) {
    fmt::format_to(std::back_inserter(page), "# HELP {} {}\n# TYPE {} {}\n", name, text, name, type);
}

/// Counters by their full names, as they stand in the segment.
std::map<std::string, std::uint64_t> read_counters(const shm::Segment& segment) {
    std::map<std::string, std::uint64_t> counters;
    segment.each_counter([&](std::string_view name, std::uint64_t value) { counters[std::string(name)] = value; });
    return counters;
}

/// Adds up a histogram's buckets, as Prometheus wants them, for each set of labels.
void write_histogram(std::string& page, std::string_view name,
                     const std::map<std::string, std::uint64_t>& counters) {
    std::map<std::string, std::array<std::uint64_t, kBuckets.size() + 1>> by_labels;
    const std::string bucket = fmt::format("{}_bucket{{", name);
    for (const auto& [full, value] : counters) {
        if (full.rfind(bucket, 0) != 0) continue;
        const std::size_t le = full.rfind(",le=\"");
        if (le == std::string::npos) continue;
        const std::string labels = full.substr(bucket.size(), le - bucket.size());
        const std::string edge = full.substr(le + 5, full.size() - le - 7);
        for (std::size_t i = 0; i <= kBuckets.size(); ++i) {
            if (bucket_label(i) == edge) by_labels[labels][i] = value;
        }
    }
    for (const auto& [labels, values] : by_labels) {
        std::uint64_t sum = 0;
        for (std::size_t i = 0; i <= kBuckets.size(); ++i) {
            sum += values[i];
            fmt::format_to(std::back_inserter(page), "{}_bucket{{{},le=\"{}\"}} {}\n", name, labels,
                           bucket_label(i), sum);
        }
        const auto micros = counters.find(fmt::format("{}_micros{{{}}}", name, labels));
        const std::uint64_t total = micros == counters.end() ? 0 : micros->second;
        fmt::format_to(std::back_inserter(page), "{}_sum{{{}}} {:.6f}\n{}_count{{{}}} {}\n", name, labels,
                       static_cast<double>(total) / 1e6, name, labels, sum);
    }
}

void write_counters(std::string& page, const shm::Segment& segment) {
    const auto counters = read_counters(segment);
    for (const Help& help : kHelp) {
        describe(page, help.name, help.type, help.text);
        if (help.type == "histogram") {
            write_histogram(page, help.name, counters);
            continue;
        }
        for (const auto& [full, value] : counters) {
            if (base_name(full) == help.name) fmt::format_to(std::back_inserter(page), "{} {}\n", full, value);
        }
    }
    for (const auto& own : segment.own_counters()) {
        const std::string name = fmt::format("weir_{}_total", own.name);
        describe(page, name, "counter", own.help);
        fmt::format_to(std::back_inserter(page), "{} {}\n", name, own.value);
    }
}

void write_limiters(std::string& page, const shm::Segment& segment, shm::Nanos now) {
    const auto limiters = segment.limiters(now);
    const auto rows = [&](std::string_view name, std::string_view text, auto value,
                          bool counts = false) {
        describe(page, name, "gauge", text);
        for (const shm::LimiterInfo& info : limiters) {
            if (!counts && info.usage.limit == router::kOnlyCounts) continue;  // nobody has set that
            fmt::format_to(std::back_inserter(page),
                           "{}{{scope=\"{}\",name=\"{}\",unit=\"{}\",window_seconds=\"{:g}\"}} {}\n", name,
                           label_value(info.scope), label_value(info.name), shm::unit_name(info.unit),
                           shm::to_seconds(info.window), value(info.usage));
        }
    };
    rows("weir_limit_units", "What a limit allows in its window",
         [](const shm::LimiterUsage& usage) { return usage.limit; });
    rows("weir_limit_used_units", "What is used of a limit now",
         [](const shm::LimiterUsage& usage) { return usage.used; }, true);
    rows("weir_limit_remaining_units", "What is left of a limit now",
         [](const shm::LimiterUsage& usage) { return usage.remaining; });
}

/// One line for each mode, as Prometheus has states.
void write_mode(std::string& page, shm::LeaseMode mode) {
    describe(page, "weir_limit_mode", "gauge", "1 for the mode by which limits are kept");
    for (const auto one : {shm::LeaseMode::local, shm::LeaseMode::shared, shm::LeaseMode::share,
                           shm::LeaseMode::closed, shm::LeaseMode::open}) {
        fmt::format_to(std::back_inserter(page), "weir_limit_mode{{mode=\"{}\"}} {}\n", to_string(one),
                       one == mode ? 1 : 0);
    }
}

std::string labels_of(const router::DeploymentConfig& config) {
    return fmt::format(
        R"({{model_id="{}",model_group="{}",litellm_model_name="{}",api_provider="{}",api_base="{}"}})",
        label_value(config.id), label_value(config.model_name), label_value(config.model),
        label_value(config.provider), label_value(config.api_base));
}

/// What is left of the deployments' limits in `unit`; those without one have no line.
void write_remaining(std::string& page, router::Router& router, std::string_view name, shm::Unit unit,
                     shm::Nanos now) {
    describe(page, name, "gauge",
             fmt::format("What is left of a deployment's limit on {}", shm::unit_name(unit)));
    router.each_deployment([&](const router::Deployment& deployment) {
        for (const router::Scope& scope : deployment.scopes()) {
            if (scope.unit != unit) continue;
            fmt::format_to(std::back_inserter(page), "{}{} {}\n", name, labels_of(deployment.config()),
                           router.participant().look(scope.limiter, now).remaining);
        }
    });
}

void write_deployments(std::string& page, router::Router& router, shm::Nanos now) {
    const auto rows = [&](std::string_view name, std::string_view text, auto value) {
        describe(page, name, "gauge", text);
        router.each_deployment([&](const router::Deployment& deployment) {
            fmt::format_to(std::back_inserter(page), "{}{} {}\n", name, labels_of(deployment.config()),
                           value(deployment));
        });
    };
    write_remaining(page, router, "litellm_remaining_requests_metric", shm::Unit::requests, now);
    write_remaining(page, router, "litellm_remaining_tokens_metric", shm::Unit::tokens, now);
    rows("litellm_deployment_state", "0: healthy, 1: failed lately, 2: cooling down", [&](const auto& d) {
        const auto health = shm::read_health(d.health(), now);
        return health.cooldown_until > now ? 2 : health.failures > 0 ? 1 : 0;
    });
    rows("litellm_in_flight_requests", "Requests in flight, of all processes",
         [&](const auto& d) { return router.participant().in_flight(d.in_flight()); });
}

/// The entry for `name`, made if there is none.
template <class Map>
typename Map::mapped_type& entry(Map& map, std::string_view name) {
    const auto found = map.find(name);
    return found != map.end() ? found->second : map[std::string(name)];
}

}  // namespace

void Metrics::count(const Served& served) {
    // A name that no group has is the client's invention: it must not make a counter.
    const std::string_view model = served.group.empty() ? std::string_view("unknown") : served.group;
    Group& group = entry(groups_, model);
    count_status(group, model, served);
    const auto by_model = [model] { return fmt::format("model=\"{}\"", label_value(model)); };
    observe(group.latency, kLatency, served.duration, by_model);
    if (!served.deployment.empty()) {
        count_deployment(served);
        observe(group.upstream_latency, kUpstreamLatency, served.upstream, by_model);
    }
    if (served.first_piece && served.status < 400) {
        observe(group.first_piece, kFirstPiece, *served.first_piece, by_model);
    }
    if (served.usage) {
        add(group.total_tokens, "litellm_total_tokens_metric_total", served.usage->total_tokens, by_model);
        add(group.input_tokens, "litellm_input_tokens_metric_total", served.usage->prompt_tokens, by_model);
        add(group.output_tokens, "litellm_output_tokens_metric_total",
            served.usage->completion_tokens, by_model);
    }
}

void Metrics::count_status(Group& group, std::string_view model, const Served& served) {
    auto& statuses = entry(group.by_key, served.key);
    auto status = std::find_if(statuses.begin(), statuses.end(),
                               [&](const Status& known) { return known.code == served.status; });
    if (status == statuses.end()) status = statuses.insert(statuses.end(), Status{served.status, {}, {}});
    const auto labels = [&] {
        return fmt::format("requested_model=\"{}\",api_key_alias=\"{}\",status_code=\"{}\"",
                           label_value(model), label_value(served.key), served.status);
    };
    add(status->requests, "litellm_proxy_total_requests_metric_total", 1, labels);
    if (served.status >= 400) add(status->failed, "litellm_proxy_failed_requests_metric_total", 1, labels);
    if (!served.refused) return;
    add(group.refused, "weir_refused_requests_total", 1,
        [model] { return fmt::format("requested_model=\"{}\"", label_value(model)); });
}

void Metrics::count_deployment(const Served& served) {
    Deployment& deployment = entry(deployments_, served.deployment);
    const auto labels = [&] { return fmt::format("model_id=\"{}\"", label_value(served.deployment)); };
    add(deployment.requests, "litellm_deployment_total_requests_total", 1, labels);
    const bool failed = served.status >= 400;
    if (failed) add(deployment.failed, "litellm_deployment_failure_responses_total", 1, labels);
    if (!failed) add(deployment.succeeded, "litellm_deployment_success_responses_total", 1, labels);
}

template <class MakeLabels>
void Metrics::add(Cell& cell, std::string_view name, std::uint64_t amount, const MakeLabels& labels) {
    if (!cell) cell = find(fmt::format("{}{{{}}}", name, labels()));
    if (*cell) shm::Segment::add(*cell, amount);
}

template <class MakeLabels>
void Metrics::observe(Histogram& histogram, const HistogramNames& names, shm::Nanos duration,
                      const MakeLabels& labels) {
    const double seconds = shm::to_seconds(duration);
    std::size_t bucket = 0;
    while (bucket < kBuckets.size() && seconds > kBuckets[bucket]) ++bucket;
    add(histogram.buckets[bucket], names.bucket, 1,
        [&] { return fmt::format("{},le=\"{}\"", labels(), bucket_label(bucket)); });
    add(histogram.micros, names.micros, static_cast<std::uint64_t>(duration.count() / 1000), labels);
}

shm::Counter Metrics::find(const std::string& name) {
    try {
        return segment_.counter(name);
    } catch (const shm::DirectoryFull&) {
        return {};  // not counted; the segment's own counter `directory_full` says that this happens
    }
}

std::string metrics_page(router::Router& router, shm::Nanos now) {
    std::string page;
    write_counters(page, router.segment());
    write_deployments(page, router, now);
    write_limiters(page, router.segment(), now);
    write_mode(page, router.limit_mode());
    return page;
}

std::string label_value(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == '\n') {
            out += "\\n";
            continue;
        }
        if (c == '"' || c == '\\') out += '\\';
        out += c;
    }
    return out;
}

}  // namespace weir::proxy
