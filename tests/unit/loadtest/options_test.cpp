#include "loadtest/options.hpp"

#include <catch2/catch.hpp>
#include <iostream>
#include <sstream>

using namespace weir::loadtest;

namespace {

/// Takes what is printed while it lives.
class Captured {
 public:
    Captured() : out_(std::cout.rdbuf(text_.rdbuf())), err_(std::cerr.rdbuf(text_.rdbuf())) {}
    Captured(const Captured&) = delete;
    Captured& operator=(const Captured&) = delete;
    ~Captured() {
        std::cout.rdbuf(out_);
        std::cerr.rdbuf(err_);
    }
    bool has(const std::string& text) const { return text_.str().find(text) != std::string::npos; }

 private:
    std::ostringstream text_;
    std::streambuf* out_;
    std::streambuf* err_;
};

CommandLine parse(std::vector<const char*> words) {
    words.insert(words.begin(), "weir-loadtest");
    return parse_command_line(static_cast<int>(words.size()), words.data(), "1.2.3");
}

void check_usage_error(const std::vector<const char*>& words, const std::string& complaint) {
    Captured captured;
    const CommandLine line = parse(words);
    INFO(complaint);
    CHECK(line.exit_status == 2);
    CHECK(captured.has(complaint));
}

}  // namespace

TEST_CASE("what is not said is the published test") {
    const CommandLine line = parse({"proxy", "--url", "http://a", "--url", "http://b"});
    REQUIRE_FALSE(line.exit_status);
    const Options& options = line.options;
    CHECK(options.mode == Mode::proxy);
    CHECK(options.urls == std::vector<std::string>{"http://a", "http://b"});
    CHECK(options.requests == 600);
    CHECK(options.batches == 10);
    CHECK(options.pause_seconds == 10);
    CHECK(options.processes == 1);
    CHECK(options.model == "fake-openai-endpoint");
    CHECK(options.api_key == "sk-1234");
    CHECK_FALSE(options.expect);
    CHECK_FALSE(options.limit);
    CHECK_FALSE(options.window_seconds);
}

TEST_CASE("a proxy has one client for each address, a process two routers, unless said otherwise") {
    CHECK(parse({"proxy", "--url", "http://a"}).options.instances == 1);
    CHECK(parse({"router", "--config", "c.yaml"}).options.instances == 2);
    CHECK(parse({"proxy", "--url", "http://a", "--instances", "3"}).options.instances == 3);
    CHECK(parse({"router", "--config", "c.yaml", "--instances", "3"}).options.instances == 3);
}

TEST_CASE("all that can be said is taken over") {
    const CommandLine line =
        parse({"router", "--config", "c.yaml", "--requests", "50", "--batches", "3", "--pause", "0.5",
               "--processes", "2", "--model", "m", "--api-key", "k", "--json", "-", "--ledger", "http://a",
               "--ledger", "http://b", "--limit", "10", "--expect", "20", "--window-seconds", "2.5",
               "--transit-ms", "9"});
    REQUIRE_FALSE(line.exit_status);
    const Options& options = line.options;
    CHECK(options.mode == Mode::router);
    CHECK(options.config == "c.yaml");
    CHECK(options.requests == 50);
    CHECK(options.batches == 3);
    CHECK(options.pause_seconds == 0.5);
    CHECK(options.processes == 2);
    CHECK(options.model == "m");
    CHECK(options.api_key == "k");
    CHECK(options.json == "-");
    CHECK(options.ledgers == std::vector<std::string>{"http://a", "http://b"});
    CHECK(options.limit == 10);
    CHECK(options.expect == 20);
    CHECK(options.window_seconds == 2.5);
    CHECK(options.transit_ms == 9);
}

TEST_CASE("a rate and its seconds are an open loop") {
    const CommandLine line = parse({"proxy", "--url", "http://a", "--rate", "2.5", "--seconds", "10"});
    REQUIRE_FALSE(line.exit_status);
    CHECK(line.options.rate == 2.5);
    CHECK(line.options.open_loop_requests() == 25);
    const CommandLine least = parse({"router", "--config", "c", "--rate", "0.01", "--seconds", "1"});
    CHECK(least.options.open_loop_requests() == 1);
    CHECK_FALSE(parse({"proxy", "--url", "http://a"}).options.rate);
    check_usage_error({"proxy", "--url", "http://a", "--rate", "5"}, "--seconds");
    check_usage_error({"proxy", "--url", "http://a", "--seconds", "5"}, "--rate");
    check_usage_error({"proxy", "--url", "http://a", "--rate", "0", "--seconds", "5"}, "--rate");
    check_usage_error({"proxy", "--url", "http://a", "--rate", "5", "--seconds", "5", "--batches", "2"},
                      "--batches");
}

TEST_CASE("help and version are no errors") {
    Captured captured;
    CHECK(parse({"--help"}).exit_status == 0);
    CHECK(captured.has("proxy"));
    CHECK(captured.has("router"));
    CHECK(parse({"proxy", "--help"}).exit_status == 0);
    CHECK(captured.has("--url"));
    CHECK(parse({"--version"}).exit_status == 0);
    CHECK(captured.has("1.2.3"));
}

TEST_CASE("a command line that cannot be meant ends with 2 and says why") {
    check_usage_error({}, "subcommand");
    check_usage_error({"both"}, "subcommand");
    check_usage_error({"proxy"}, "--url");
    check_usage_error({"router"}, "--config");
    check_usage_error({"router", "--config", "c", "--url", "http://a"}, "--url");
    check_usage_error({"proxy", "--url", "http://a", "--requests", "0"}, "--requests");
    check_usage_error({"proxy", "--url", "http://a", "--requests", "many"}, "--requests");
    check_usage_error({"proxy", "--url", "http://a", "--batches", "-1"}, "--batches");
    check_usage_error({"proxy", "--url", "http://a", "--pause", "-1"}, "--pause");
    check_usage_error({"proxy", "--url", "http://a", "--window-seconds", "0"}, "--window-seconds");
    check_usage_error({"proxy", "--url", "http://a", "--frobnicate"}, "--frobnicate");
}
