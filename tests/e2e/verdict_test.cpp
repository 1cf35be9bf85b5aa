// The load test must be able to say no: each way in which it does, and its exit status.
#include <catch2/catch.hpp>

#include "tests/e2e/site.hpp"

using namespace weir::test;

namespace {

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

std::vector<std::string> one_batch(const Site& site, const std::vector<std::string>& more) {
    std::vector<std::string> arguments{"proxy", "--batches", "1"};
    const auto judged_by = site.judged_by_ledgers();
    arguments.insert(arguments.end(), judged_by.begin(), judged_by.end());
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
}

std::vector<std::string> faults(const Judged& judged) {
    std::vector<std::string> list;
    for (const auto& finding : judged.record.at("findings")) list.push_back(finding.at("fault"));
    return list;
}

using Faults = std::vector<std::string>;

Site::Options long_window() {
    Site::Options options;
    options.window_seconds = 60;
    return options;
}

}  // namespace

TEST_CASE("two proxies that do not share their segment break the limit, and that is found") {
    Site site(long_window());
    const ScratchSegment other;
    const std::string one = url_of(site.start_proxy().port());
    const std::string two = url_of(site.start_proxy(0, other.name()).port());
    const Judged judged = judge(one_batch(site, {"--url", one, "--url", two, "--expect", "200"}));
    CHECK(judged.finished.status == 1);
    CHECK(has(judged.finished.output, "FAIL: "));
    // By the successes, and by the ledger of each upstream.
    CHECK(faults(judged) == Faults{"limit_broken", "limit_broken", "limit_broken"});
}

TEST_CASE("capacity that is left unused is found") {
    Site site(long_window());
    const std::string url = url_of(site.start_proxy().port());
    const Judged judged = judge({"proxy", "--url", url, "--batches", "1", "--expect", "201"});
    CHECK(judged.finished.status == 1);
    CHECK(faults(judged) == Faults{"unused"});
    CHECK(has(judged.finished.output,
              "FAIL: batch 1: 200 successes and 400 refusals, although the window had room for 201"));
}

TEST_CASE("an upstream that holds the number itself is found") {
    Site::Options options = long_window();
    options.upstream_arguments = {"--rpm", "60"};
    Site site(options);
    const std::string url = url_of(site.start_proxy().port());
    const Judged judged = judge(one_batch(site, {"--url", url}));
    CHECK(judged.finished.status == 1);
    CHECK(faults(judged) == Faults{"upstream_refused", "upstream_refused"});
}

namespace {

/// Deployments of 100 answers of 21 tokens a window, asked through routers in four processes without waiting.
Judged by_tokens(const std::vector<std::string>& more) {
    Site::Options options;
    options.limits = "tpm: 2100";
    Site site(options);
    std::vector<std::string> arguments{
        "router",  "--config", site.config(), "--processes", "4",          "--batches",
        "5",       "--pause",  "0.6",         "--requests",  "400",        "--answer-tokens",
        "21"};
    for (const std::uint16_t port : site.upstream_ports()) {
        arguments.insert(arguments.end(), {"--ledger", url_of(port)});
    }
    arguments.insert(arguments.end(), more.begin(), more.end());
    return judge(arguments);
}

}  // namespace

TEST_CASE("limits on tokens hold over processes, and what running requests reserve is no fault") {
    const Judged judged = by_tokens({});
    INFO(judged.finished.output);
    CHECK(judged.finished.status == 0);
    CHECK(has(judged.finished.output, "PASS: every limit held, and no capacity was left unused"));
    for (const auto& ledger : judged.record.at("ledgers")) CHECK(ledger.at("limit") == 100);
}

TEST_CASE("limits on tokens that are larger or smaller than they should be are found") {
    const Judged broken = by_tokens({"--tpm", "1050"});
    INFO(broken.finished.output);
    CHECK(broken.finished.status == 1);
    CHECK(faults(broken).front() == "limit_broken");
    const Judged unused = by_tokens({"--tpm", "8400"});
    INFO(unused.finished.output);
    CHECK(unused.finished.status == 1);
    CHECK(faults(unused).front() == "unused");
}

TEST_CASE("a wrong key succeeds nowhere and is no pass") {
    Site site(long_window());
    const std::string url = url_of(site.start_proxy().port());
    const Judged judged =
        judge({"proxy", "--url", url, "--batches", "1", "--requests", "20", "--api-key", "no"});
    CHECK(judged.finished.status == 1);
    CHECK(has(judged.finished.output, "20 errors (20 unauthorized)"));
    CHECK(has(judged.finished.output, "FAIL: no request succeeded"));
}

TEST_CASE("a load test that is asked for nonsense ends with 2") {
    CHECK(run({"weir-loadtest"}).status == 2);
    CHECK(run({"weir-loadtest", "proxy"}).status == 2);
    CHECK(run({"weir-loadtest", "proxy", "--url", "localhost"}).status == 2);
    CHECK(run({"weir-loadtest", "proxy", "--url", "http://127.0.0.1:1", "--requests", "0"}).status == 2);
    const Finished absent = run({"weir-loadtest", "router", "--config", "none.yaml"});
    CHECK(absent.status == 2);
    CHECK(has(absent.errors, "none.yaml"));
    Site site(long_window());
    const Finished unknown = run({"weir-loadtest", "router", "--config", site.config(), "--model", "other"});
    CHECK(unknown.status == 2);
    CHECK(has(unknown.errors, "no deployment has the model_name \"other\""));
}

TEST_CASE("a load test that cannot run ends with 3 and says why") {
    const std::string nobody = url_of(free_ports(1)[0]);
    const Finished unheard = run({"weir-loadtest", "proxy", "--url", nobody, "--batches", "1"});
    CHECK(unheard.status == 3);
    CHECK(has(unheard.errors, "is anything listening there?"));

    Site site(long_window());
    const std::string url = url_of(site.start_proxy().port());
    const Finished unread = run({"weir-loadtest", "proxy", "--url", url, "--ledger", nobody});
    CHECK(unread.status == 3);
    CHECK(has(unread.errors, nobody + "/__ledger"));
    CHECK_FALSE(has(unread.output, "triggered"));  // before a single request is sent

    const Finished unwritten = run({"weir-loadtest", "proxy", "--url", url, "--batches", "1", "--json",
                                    "/nonexistent/record.json"});
    CHECK(unwritten.status == 3);
    CHECK(has(unwritten.errors, "/nonexistent/record.json"));
}
