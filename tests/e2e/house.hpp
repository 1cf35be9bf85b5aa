// A proxy in front of an upstream, both as programs, with a segment of their own.
//
// Thread safety: none.
#pragma once

#include <unistd.h>

#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support/program.hpp"
#include "tests/support/raw_client.hpp"
#include "tests/support/scratch.hpp"

namespace weir::test {

inline bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

inline constexpr const char* kBody = R"({"model":"m","messages":[]})";
inline constexpr const char* kKey = "authorization: Bearer sk-1234\r\n";

/// A proxy in front of an upstream that answers after `latency_ms`.
class House {
 public:
    explicit House(int latency_ms = 0)
        : upstream_({"weir-fake-server", "--port", "0", "--rpm", "0", "--latency-ms",
                     std::to_string(latency_ms)}) {
        upstream_port = upstream_.port();
        configure("m");
    }

    /// One group of this name, and `more` of Weir's settings.
    void configure(const std::string& group, const std::string& more = {}) const {
        folder_.write(
            "config.yaml",
            "model_list: [{model_name: " + group +
                ", litellm_params: {model: openai/m, rpm: 100000, api_base: \"http://127.0.0.1:" +
                std::to_string(upstream_port) + "\"}}]\n" +
                "general_settings: {master_key: sk-1234}\nweir_settings: {segment: " +
                segment_.name() + more + "}\n");
    }
    void break_config() const { folder_.write("config.yaml", "model_list: {\n"); }
    std::string config() const { return folder_.path("config.yaml"); }
    const ScratchFolder& folder() const { return folder_; }

    Program start(std::vector<std::string> more, const Program::Options& options = {}) const {
        std::vector<std::string> command{"weir-proxy", "--config", config(), "--host",
                                         "127.0.0.1",  "--port",   "0"};
        command.insert(command.end(), more.begin(), more.end());
        return Program(std::move(command), options);
    }

    std::uint16_t upstream_port = 0;

 private:
    ScratchSegment segment_;
    ScratchFolder folder_;
    Program upstream_;
};

inline std::vector<pid_t> children_of(pid_t parent) {
    const std::string id = std::to_string(parent);
    std::ifstream in("/proc/" + id + "/task/" + id + "/children");
    std::vector<pid_t> children;
    for (pid_t child = 0; in >> child;) children.push_back(child);
    return children;
}

/// The status of one request; 0 if there is no answer.
inline unsigned ask(std::uint16_t port, const char* body = kBody) {
    try {
        return fetch(port, "POST", "/v1/chat/completions", body, kKey).status;
    } catch (const std::runtime_error&) {
        return 0;
    }
}

}  // namespace weir::test
