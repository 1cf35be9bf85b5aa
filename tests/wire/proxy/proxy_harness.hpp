// A proxy and its upstreams in this process, on ports of their own, each on a thread of its own.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include <catch2/catch.hpp>

#include "tests/support/raw_client.hpp"
#include "tests/support/wait.hpp"

namespace weir::proxy::test {

using Json = nlohmann::json;
using weir::test::pause_for;
using weir::test::RawAnswer;
using weir::test::RawClient;
using weir::test::wait_until;

/// The independent upstream. Nothing is limited by it unless a script says so.
class Upstream {
 public:
    Upstream();
    ~Upstream();

    std::string url() const;
    std::uint16_t port() const;

    /// Steps for the next requests, see docs/fake-server.md.
    void script(const std::string& steps);
    Json arrivals();
    /// The latest request to a model, as it arrived.
    Json last();

 private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

class Proxy {
 public:
    /// `config` with {segment} and {upstream} replaced; its segment goes with it.
    Proxy(const std::string& config, const std::string& upstream);
    ~Proxy();

    std::uint16_t port() const;
    RawClient client() const { return RawClient(port()); }

    /// Connections that are open.
    std::size_t connections();
    void drain();
    /// What SIGHUP does, with another configuration of the same segment.
    void reload(const std::string& config, const std::string& upstream);
    /// How many configurations are still in use.
    std::size_t setups();
    /// The access log's lines since the last call, in JSON.
    std::string log();

 private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

/// One group "gpt" with one deployment, and the master key sk-test.
inline const std::string kConfig = R"(
model_list:
  - model_name: gpt
    litellm_params: {model: openai/upstream-gpt, api_base: "{upstream}", api_key: sk-upstream}
router_settings: {num_retries: 0}
general_settings: {master_key: sk-test}
weir_settings:
  segment: {segment}
  segment_size: 2097152
)";

inline constexpr const char* kKey = "authorization: Bearer sk-test\r\n";
inline constexpr const char* kChat =
    R"({"model":"gpt","messages":[{"role":"user","content":"hello"}]})";
inline constexpr const char* kStream =
    R"({"model":"gpt","stream":true,"messages":[{"role":"user","content":"hello"}]})";

/// The header line that presents a key.
inline std::string bearer(const std::string& key) {
    return "authorization: Bearer " + key + "\r\n";
}

/// kConfig with `deployment` among the parameters of its deployment, and `settings` of Weir's.
inline std::string configured(const std::string& deployment, const std::string& settings) {
    std::string text = kConfig;
    const std::string place = "api_key: sk-upstream";
    text.replace(text.find(place), place.size(), place + deployment);
    return text + settings;
}

/// The answer to a chat of that key.
inline RawAnswer ask(Proxy& proxy, const std::string& key, const std::string& body = kChat) {
    return proxy.client().post("/v1/chat/completions", body, bearer(key));
}

/// `body` is an error in OpenAI's shape; its message.
inline std::string error_message(const std::string& body) {
    const Json json = Json::parse(body, nullptr, false);
    REQUIRE(json.is_object());
    REQUIRE(json["error"].is_object());
    CHECK(json["error"].contains("type"));
    CHECK(json["error"].contains("param"));
    CHECK(json["error"]["code"].is_string());
    return json["error"]["message"];
}

}  // namespace weir::proxy::test
