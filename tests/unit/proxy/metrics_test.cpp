#include "proxy/metrics.hpp"

#include <catch2/catch.hpp>

#include <map>

#include "tests/unit/shm/scratch_segment.hpp"

namespace weir::proxy {
namespace {

using namespace std::chrono_literals;

std::map<std::string, std::uint64_t> counters_of(const shm::Segment& segment) {
    std::map<std::string, std::uint64_t> counters;
    segment.each_counter([&](std::string_view name, std::uint64_t value) {
        counters[std::string(name)] = value;
    });
    return counters;
}

Served success() {
    Served served;
    served.status = 200;
    served.key = "app";
    served.model = served.group = "gpt";
    served.deployment = "first";
    served.duration = 30ms;
    served.upstream = 20ms;
    served.usage = router::Usage{9, 12, 21, 0};
    return served;
}

TEST_CASE("what was served is counted once under each of its labels") {
    const shm::test::ScratchName scratch;
    shm::Segment segment = shm::Segment::open(scratch.options(4u << 20));
    Metrics metrics(segment);
    metrics.count(success());
    metrics.count(success());
    Served failure = success();
    failure.status = 502;
    failure.usage.reset();
    metrics.count(failure);

    const auto counters = counters_of(segment);
    const std::string good = R"({requested_model="gpt",api_key_alias="app",status_code="200"})";
    const std::string bad = R"({requested_model="gpt",api_key_alias="app",status_code="502"})";
    CHECK(counters.at("litellm_proxy_total_requests_metric_total" + good) == 2);
    CHECK(counters.at("litellm_proxy_total_requests_metric_total" + bad) == 1);
    CHECK(counters.count("litellm_proxy_failed_requests_metric_total" + good) == 0);
    CHECK(counters.at("litellm_proxy_failed_requests_metric_total" + bad) == 1);
    CHECK(counters.at(R"(litellm_deployment_total_requests_total{model_id="first"})") == 3);
    CHECK(counters.at(R"(litellm_deployment_success_responses_total{model_id="first"})") == 2);
    CHECK(counters.at(R"(litellm_deployment_failure_responses_total{model_id="first"})") == 1);
    CHECK(counters.at(R"(litellm_total_tokens_metric_total{model="gpt"})") == 42);
    CHECK(counters.at(R"(litellm_input_tokens_metric_total{model="gpt"})") == 18);
    CHECK(counters.at(R"(litellm_output_tokens_metric_total{model="gpt"})") == 24);
    CHECK(counters.at(R"(litellm_request_total_latency_metric_bucket{model="gpt",le="0.05"})") == 3);
    CHECK(counters.at(R"(litellm_request_total_latency_metric_micros{model="gpt"})") == 90'000);
    CHECK(counters.at(R"(litellm_llm_api_latency_metric_bucket{model="gpt",le="0.025"})") == 3);
}

TEST_CASE("the time to the first piece is that of streams, and not of errors") {
    const shm::test::ScratchName scratch;
    shm::Segment segment = shm::Segment::open(scratch.options(4u << 20));
    Metrics metrics(segment);
    metrics.count(success());
    Served stream = success();
    stream.first_piece = 40ms;
    metrics.count(stream);
    stream.status = 500;
    metrics.count(stream);
    const auto counters = counters_of(segment);
    CHECK(counters.at(R"(litellm_llm_api_time_to_first_token_metric_bucket{model="gpt",le="0.05"})") == 1);
    CHECK(counters.at(R"(litellm_llm_api_time_to_first_token_metric_micros{model="gpt"})") == 40'000);
}

TEST_CASE("two processes' counts are one counter, and labels are escaped") {
    const shm::test::ScratchName scratch;
    shm::Segment segment = shm::Segment::open(scratch.options(4u << 20));
    Metrics one(segment);
    Metrics other(segment);
    Served served = success();
    served.key = "a \"quoted\\key\"\n";
    one.count(served);
    other.count(served);
    const auto counters = counters_of(segment);
    CHECK(counters.at(R"(litellm_proxy_total_requests_metric_total{requested_model="gpt",)"
                      R"(api_key_alias="a \"quoted\\key\"\n",status_code="200"})") == 2);
}

TEST_CASE("a refusal is counted, and an invented model makes no counter of its own") {
    const shm::test::ScratchName scratch;
    shm::Segment segment = shm::Segment::open(scratch.options(4u << 20));
    Metrics metrics(segment);
    Served refused;
    refused.status = 429;
    refused.key = "app";
    refused.model = "invented";
    refused.refused = true;
    refused.duration = 120s;
    metrics.count(refused);
    const auto counters = counters_of(segment);
    CHECK(counters.at(R"(weir_refused_requests_total{requested_model="unknown"})") == 1);
    CHECK(counters.at(R"(litellm_request_total_latency_metric_bucket{model="unknown",le="+Inf"})") == 1);
    for (const auto& [name, value] : counters) CHECK(name.find("invented") == std::string::npos);
}

}  // namespace
}  // namespace weir::proxy
