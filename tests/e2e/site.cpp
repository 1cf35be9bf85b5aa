#include "tests/e2e/site.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "tests/support/raw_client.hpp"

namespace weir::test {
namespace {

using Json = nlohmann::json;

std::string deployment(std::uint16_t port, const std::string& limits) {
    return "  - model_name: fake-openai-endpoint\n"
           "    litellm_params:\n"
           "      model: openai/gpt-3.5-turbo\n"
           "      api_key: my-fake-key\n"
           "      api_base: " + url_of(port) + "\n"
           "      " + limits + "\n";
}

}  // namespace

std::string url_of(std::uint16_t port) { return "http://127.0.0.1:" + std::to_string(port); }

Site::Site(const Options& options) : options_(options) {
    for (int i = 0; i < 2; ++i) {
        std::vector<std::string> command{"weir-fake-server", "--port", "0", "--window-seconds",
                                         std::to_string(options_.window_seconds)};
        command.insert(command.end(), options.upstream_arguments.begin(), options.upstream_arguments.end());
        upstreams_.emplace_back(std::move(command));
    }
    for (Program& upstream : upstreams_) ports_.push_back(upstream.port());
}

std::string Site::config(const std::string& segment) const {
    const std::string& name = segment.empty() ? segment_.name() : segment;
    return folder_.write(name + ".yaml",
                         "model_list:\n" + deployment(ports_[0], options_.limits) +
                             deployment(ports_[1], options_.limits) +
                             "router_settings: {routing_strategy: simple-shuffle, num_retries: 0}\n"
                             "general_settings: {master_key: sk-1234}\n"
                             "weir_settings: {segment: " + name +
                             ", window_seconds: " + std::to_string(options_.window_seconds) +
                             (options_.weir_settings.empty() ? "" : ", " + options_.weir_settings) + "}\n" +
                             options_.more);
}

void Site::edit_config(const std::string& segment, const std::string& from, const std::string& to) const {
    const std::string file = segment + ".yaml";
    std::string text = read_file(folder_.path(file));
    const std::size_t found = text.find(from);
    if (found == std::string::npos) throw std::runtime_error("no " + from + " in the configuration");
    folder_.write(file, text.replace(found, from.size(), to));
}

Program& Site::start_proxy(std::uint16_t port, const std::string& segment,
                           const std::vector<std::string>& environment) {
    proxies_.push_back(Program({"weir-proxy", "--config", config(segment), "--host", "127.0.0.1", "--port",
                                std::to_string(port)},
                               {.environment = environment}));
    proxies_.back().port();
    return proxies_.back();
}

std::vector<std::string> Site::judged_by_ledgers() const {
    // On a loaded machine it may take long from an admission to its arrival.
    std::vector<std::string> arguments{"--limit", "100", "--transit-ms", "10000", "--window-seconds",
                                       std::to_string(options_.window_seconds)};
    for (const std::uint16_t port : ports_) {
        arguments.emplace_back("--ledger");
        arguments.push_back(url_of(port));
    }
    return arguments;
}

std::vector<std::string> Site::load(const std::vector<Program*>& proxies,
                                    const std::vector<std::string>& more) const {
    std::vector<std::string> arguments{"proxy"};
    for (Program* proxy : proxies) {
        arguments.emplace_back("--url");
        arguments.push_back(url_of(proxy->port()));
    }
    const auto judged_by = judged_by_ledgers();
    arguments.insert(arguments.end(), judged_by.begin(), judged_by.end());
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
}

Judged judge(std::vector<std::string> arguments, std::chrono::seconds patience) {
    const ScratchFolder folder;
    const std::string record = folder.path("record.json");
    arguments.insert(arguments.begin(), "weir-loadtest");
    arguments.insert(arguments.end(), {"--json", record});
    Judged judged;
    judged.finished = run(std::move(arguments), {}, patience);
    if (judged.finished.status <= 1) judged.record = Json::parse(read_file(record));
    return judged;
}

Json arrivals_at(std::uint16_t port) {
    return Json::parse(fetch(port, "GET", "/__ledger").body).at("arrivals");
}

std::uint64_t arrival_count(std::uint16_t port) {
    const Json ledger = Json::parse(fetch(port, "GET", "/__ledger?summary=1").body);
    return ledger.at("summary").at("arrivals").get<std::uint64_t>();
}

std::size_t fullest_window(const Json& arrivals, double seconds) {
    std::vector<std::int64_t> times;
    for (const Json& arrival : arrivals) times.push_back(arrival.at("monotonic_ns").get<std::int64_t>());
    std::sort(times.begin(), times.end());
    const auto window = static_cast<std::int64_t>(seconds * 1e9);
    std::size_t fullest = 0;
    for (std::size_t first = 0, last = 0; last < times.size(); ++last) {
        while (times[last] - times[first] >= window) ++first;
        fullest = std::max(fullest, last - first + 1);
    }
    return fullest;
}

}  // namespace weir::test
