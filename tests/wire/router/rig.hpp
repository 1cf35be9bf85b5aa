// A Router in this process, with a segment of its own, against upstreams of the test.
#pragma once

#include <boost/asio/co_spawn.hpp>
#include <chrono>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include "router/call.hpp"
#include "router/router.hpp"
#include "tests/unit/shm/scratch_segment.hpp"

namespace weir::router::test {

/// One entry of model_list in YAML; `params` are further ones of litellm_params.
inline std::string entry(const std::string& group, const std::string& id, const std::string& base,
                         const std::string& params = {}, const std::string& model = "openai/gpt") {
    return "  - {model_name: '" + group + "', litellm_params: {model: '" + model + "', api_base: '" + base +
           "'" + (params.empty() ? "" : ", " + params) + "}, model_info: {id: '" + id + "'}}\n";
}

/// The parts of a configuration. `weir` and `settings` are members in YAML's flow style.
struct Setup {
    std::string models;         ///< entries
    std::string settings = "";  ///< of router_settings
    std::string weir = "";      ///< of weir_settings, without the segment
};

/// The configuration; throws with all its problems if it has any.
inline RouterConfig config_of(const Setup& setup, const std::string& segment) {
    const std::string text = "model_list:\n" + setup.models + "router_settings: {" + setup.settings +
                             "}\nweir_settings: {segment: " + segment + ", segment_size: 2097152" +
                             (setup.weir.empty() ? "" : ", " + setup.weir) + "}\n";
    LoadedConfig loaded = parse_config(text);
    std::string problems;
    for (const Problem& problem : loaded.problems) problems += to_string(problem, "test") + "\n";
    if (!problems.empty()) throw std::runtime_error(problems + text);
    return std::move(loaded.config);
}

/// Runs `task` to its end. Throws when it takes longer than `patience`, for then it hangs.
template <class T>
T run(asio::io_context& io, Task<T> task, std::chrono::seconds patience = std::chrono::seconds(30)) {
    std::optional<T> result;
    std::exception_ptr failure;
    asio::co_spawn(io.get_executor(), std::move(task), [&](std::exception_ptr error, T value) {
        failure = error;
        result.emplace(std::move(value));
    });
    const auto end = std::chrono::steady_clock::now() + patience;
    while (!result && std::chrono::steady_clock::now() < end) {
        io.run_one_for(std::chrono::milliseconds(100));
    }
    if (failure) std::rethrow_exception(failure);
    if (!result) throw std::runtime_error("the test hangs");
    return std::move(*result);
}

class Rig {
 public:
    explicit Rig(const Setup& setup, std::uint64_t seed = 7)
        : router_(std::make_unique<Router>(io, config_of(setup, scratch.name),
                                           RouterOptions{"test", seed})) {
        router_->start();
    }

    Router& router() { return *router_; }

    Reply ask(const std::string& body = R"({"model":"m","messages":[]})",
              const std::string& endpoint = "/chat/completions") {
        CompleteOptions options;
        options.endpoint = endpoint;
        return run(io, router_->complete(body, options));
    }

    const Deployment& deployment(const std::string& id) {
        const Deployment* found = nullptr;
        router_->each_deployment([&](const Deployment& deployment) {
            if (deployment.config().id == id) found = &deployment;
        });
        if (found == nullptr) throw std::runtime_error("no deployment " + id);
        return *found;
    }

    /// What is charged to a limit of a deployment now.
    shm::Units used(const std::string& id, shm::Unit unit = shm::Unit::requests) {
        for (const Scope& scope : deployment(id).scopes()) {
            if (scope.unit == unit) return router_->participant().usage(scope.limiter, shm::now()).used;
        }
        throw std::runtime_error("no such limit of " + id);
    }
    shm::Units tokens(const std::string& id) { return used(id, shm::Unit::tokens); }
    shm::Units in_flight(const std::string& id) {
        return router_->participant().in_flight(deployment(id).in_flight());
    }
    bool cooling(const std::string& id) {
        return shm::cooldown_until(deployment(id).health()) > shm::now();
    }

    asio::io_context io{1};
    shm::test::ScratchName scratch;

 private:
    std::unique_ptr<Router> router_;
};

inline bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace weir::router::test
