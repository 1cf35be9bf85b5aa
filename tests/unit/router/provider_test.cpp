#include "router/provider.hpp"

#include <catch2/catch.hpp>

#include "config_text.hpp"
#include "router/wildcard.hpp"

using namespace weir::router;
using namespace weir::router::test;

namespace {

DeploymentConfig deployment(const std::string& params) {
    return good("model_list: [{model_name: g, litellm_params: {" + params + "}}]").model_list[0];
}

std::string target(const DeploymentConfig& d, std::string_view endpoint, std::string_view part = {}) {
    std::string error;
    std::string out;
    UpstreamForm(d, *parse_url(d.api_base, error)).append_target(endpoint, part, out);
    return out;
}

std::string fields(const DeploymentConfig& d) {
    std::string error;
    return UpstreamForm(d, *parse_url(d.api_base, error)).fields();
}

Lines errors_of(const std::string& params) {
    return errors("model_list: [{model_name: g, litellm_params: {" + params + "}}]");
}

}  // namespace

TEST_CASE("OpenAI and what is compatible") {
    const auto d = deployment(
        "model: openai/gpt-4o, api_key: sk-k, organization: org, extra_headers: {x-a: b}");
    CHECK(d.api_base == "https://api.openai.com/v1");
    CHECK(target(d, "/chat/completions") == "/v1/chat/completions");
    CHECK(fields(d) == "authorization: Bearer sk-k\r\nopenai-organization: org\r\nx-a: b\r\n");
    const auto own = deployment("model: gpt-3.5-turbo, api_base: 'http://h:1/'");
    CHECK(target(own, "/embeddings") == "/embeddings");
    CHECK(own.provider == "openai");
    const auto groq = deployment("model: groq/llama-3.1-8b, api_key: k");
    CHECK(groq.api_base == "https://api.groq.com/openai/v1");
    CHECK(groq.model == "llama-3.1-8b");
    CHECK(deployment("model: openrouter/meta/llama, api_key: k").model == "meta/llama");
    CHECK(deployment("model: hosted_vllm/x, api_base: http://h").provider == "hosted_vllm");
    CHECK(deployment("model: meta/llama, custom_llm_provider: openai, api_base: http://h").model ==
          "meta/llama");
}

TEST_CASE("no key is sent where none is known") {
    const auto loaded =
        parse_config("model_list: [{model_name: g, litellm_params: {model: groq/m}}]",
                     [](const std::string&) { return std::nullopt; });
    REQUIRE(loaded.ok());
    CHECK(fields(loaded.config.model_list[0]).empty());
}

TEST_CASE("a key is taken from the provider's environment variable") {
    const auto loaded =
        parse_config("model_list: [{model_name: g, litellm_params: {model: groq/m}}]",
                     [](const std::string& name) -> std::optional<std::string> {
                         if (name == "GROQ_API_KEY") return "from-environment";
                         return std::nullopt;
                     });
    REQUIRE(loaded.ok());
    CHECK(fields(loaded.config.model_list[0]) == "authorization: Bearer from-environment\r\n");
}

TEST_CASE("Azure puts the deployment into the path and the key into a field of its own") {
    const auto d = deployment(
        "model: azure/my-gpt, api_key: k, api_base: 'https://x.openai.azure.com', "
        "api_version: 2024-02-01");
    CHECK(target(d, "/chat/completions") ==
          "/openai/deployments/my-gpt/chat/completions?api-version=2024-02-01");
    CHECK(target(d, "/responses") == "/openai/responses?api-version=2024-02-01");
    CHECK(fields(d) == "api-key: k\r\n");
    const auto plain = deployment("model: azure/g, api_key: k, api_base: 'https://x/openai/'");
    CHECK(target(plain, "/embeddings") ==
          "/openai/deployments/g/embeddings?api-version=" + std::string(kAzureApiVersion));
    const auto newer = deployment("model: azure/g, api_key: k, api_base: 'https://x/openai/v1'");
    CHECK(target(newer, "/chat/completions") == "/openai/v1/chat/completions");
    CHECK(errors_of("model: azure/g").size() == 1);
    CHECK(errors_of("model: 'azure/a?b', api_base: 'https://x'").size() == 1);
}

TEST_CASE("a provider that is not known is an error that says what to write") {
    const auto unknown = errors_of("model: meta-llama/Llama-3, api_base: http://h");
    REQUIRE(unknown.size() == 1);
    CHECK(unknown[0].find("\"meta-llama\" is unknown") != std::string::npos);
    CHECK(unknown[0].find("written openai/meta-llama/Llama-3 with") != std::string::npos);
    const auto foreign = errors_of("model: anthropic/claude, api_key: k");
    REQUIRE(foreign.size() == 1);
    CHECK(foreign[0].find("\"anthropic\" is not supported") != std::string::npos);
    CHECK(errors_of("model: openai/, api_base: http://h").size() == 1);
    CHECK(errors_of("model: hosted_vllm/x").size() == 1);
}

TEST_CASE("nothing can be smuggled into the head of a request") {
    for (const auto* params : {"api_key: \"a\\r\\nx: y\"", "extra_headers: {\"a b\": c}",
                               "extra_headers: {a: \"b\\nc\"}", "extra_headers: {\"\": c}",
                               "organization: \"a\\nb\"", "api_version: \"1 HTTP/1.1\""}) {
        const auto list = errors_of(std::string("model: m, api_base: http://h, ") + params);
        CHECK(list.size() == 1);
        for (const auto& line : list) CHECK(line.find("x: y") == std::string::npos);
    }
}

TEST_CASE("providers are listed in order") {
    CHECK(provider_names().substr(0, 7) == "azure, ");
    CHECK(find_provider("openai") != nullptr);
    CHECK(find_provider("anthropic") == nullptr);
    CHECK(is_foreign_provider("anthropic"));
    CHECK_FALSE(is_foreign_provider("openai"));
}

TEST_CASE("wildcards take part of a name over") {
    CHECK(wildcard_match("openai/*", "openai/gpt-4o") == "gpt-4o");
    CHECK(wildcard_match("*", "x") == "x");
    CHECK(wildcard_match("a*z", "az") == "");
    CHECK(wildcard_match("a*z", "abcz") == "bc");
    CHECK_FALSE(wildcard_match("a*z", "a").has_value());
    CHECK_FALSE(wildcard_match("aa*aa", "aaa").has_value());
    CHECK_FALSE(wildcard_match("openai/*", "azure/x").has_value());
    CHECK_FALSE(wildcard_match("plain", "plain").has_value());
    CHECK(wildcard_fill("*", "gpt") == "gpt");
    CHECK(wildcard_fill("ft-*-1", "gpt") == "ft-gpt-1");
    CHECK(wildcard_fill("fixed", "gpt") == "fixed");
    CHECK(wildcard_fill("*", "*") == "*");
}

TEST_CASE("Azure: what a wildcard took stands in the path, and is no more than one segment of it") {
    const auto d = deployment("model: 'azure/a-*-b', api_key: k, api_base: http://h");
    CHECK(target(d, "/embeddings", "x") == "/openai/deployments/a-x-b/embeddings?api-version=2024-10-21");
    CHECK(target(d, "/embeddings", "/../../?\r\nx: y") ==
          "/openai/deployments/a-%2F%2E%2E%2F%2E%2E%2F%3F%0D%0Ax%3A%20y-b/embeddings?api-version=2024-10-21");
    CHECK(target(d, "/responses", "x") == "/openai/responses?api-version=2024-10-21");
}
