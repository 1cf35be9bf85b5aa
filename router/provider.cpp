#include "router/provider.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>

namespace weir::router {
namespace {

constexpr auto kOpenAi = WireFormat::openai;

/// In the order of their names. Addresses as the providers document them.
constexpr std::array kProviders = {
    Provider{"azure", WireFormat::azure, "", "AZURE_API_KEY"},
    Provider{"cerebras", kOpenAi, "https://api.cerebras.ai/v1", "CEREBRAS_API_KEY"},
    Provider{"custom_openai", kOpenAi, "", "OPENAI_API_KEY"},
    Provider{"deepinfra", kOpenAi, "https://api.deepinfra.com/v1/openai", "DEEPINFRA_API_KEY"},
    Provider{"deepseek", kOpenAi, "https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"},
    Provider{"fireworks_ai", kOpenAi, "https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY"},
    Provider{"groq", kOpenAi, "https://api.groq.com/openai/v1", "GROQ_API_KEY"},
    Provider{"hosted_vllm", kOpenAi, "", "HOSTED_VLLM_API_KEY"},
    Provider{"litellm_proxy", kOpenAi, "", "LITELLM_PROXY_API_KEY"},
    Provider{"llamafile", kOpenAi, "http://127.0.0.1:8080/v1", ""},
    Provider{"lm_studio", kOpenAi, "", "LM_STUDIO_API_KEY"},
    Provider{"mistral", kOpenAi, "https://api.mistral.ai/v1", "MISTRAL_API_KEY"},
    Provider{"nvidia_nim", kOpenAi, "https://integrate.api.nvidia.com/v1", "NVIDIA_NIM_API_KEY"},
    Provider{"openai", kOpenAi, "https://api.openai.com/v1", "OPENAI_API_KEY"},
    Provider{"openai_like", kOpenAi, "", "OPENAI_LIKE_API_KEY"},
    Provider{"openrouter", kOpenAi, "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"},
    Provider{"perplexity", kOpenAi, "https://api.perplexity.ai", "PERPLEXITYAI_API_KEY"},
    Provider{"text-completion-openai", kOpenAi, "https://api.openai.com/v1", "OPENAI_API_KEY"},
    Provider{"together_ai", kOpenAi, "https://api.together.xyz/v1", "TOGETHERAI_API_KEY"},
    Provider{"xai", kOpenAi, "https://api.x.ai/v1", "XAI_API_KEY"},
};

constexpr std::array<std::string_view, 21> kForeign = {
    "ai21",       "aleph_alpha", "anthropic",   "azure_ai",   "azure_text", "bedrock",
    "cloudflare", "cohere",      "cohere_chat", "databricks", "gemini",     "huggingface",
    "nlp_cloud",  "ollama",      "ollama_chat", "palm",       "replicate",  "sagemaker",
    "vertex_ai",  "voyage",      "watsonx"};

/// Azure's endpoints that belong to the account, not to one deployment.
bool is_shared_on_azure(std::string_view endpoint) noexcept {
    return endpoint.substr(0, 10) == "/responses";
}

bool ends_with(std::string_view text, std::string_view end) noexcept {
    return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

/// `text` as one segment of a path: clients choose it, and must not choose more than that.
void append_encoded(std::string_view text, std::string& out) {
    for (const char c : text) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                           c == '-' || c == '_' || c == '~';
        if (plain) {
            out += c;
        } else {
            fmt::format_to(std::back_inserter(out), "%{:02X}", static_cast<unsigned char>(c));
        }
    }
}

}  // namespace

const Provider* find_provider(std::string_view name) noexcept {
    const auto* const at = std::find_if(kProviders.begin(), kProviders.end(),
                                        [&](const Provider& p) { return p.name == name; });
    return at == kProviders.end() ? nullptr : at;
}

std::string provider_names() {
    std::string names;
    for (const Provider& provider : kProviders) {
        if (!names.empty()) names += ", ";
        names += provider.name;
    }
    return names;
}

bool is_foreign_provider(std::string_view name) noexcept {
    return std::find(kForeign.begin(), kForeign.end(), name) != kForeign.end();
}

UpstreamForm::UpstreamForm(const DeploymentConfig& deployment, const Url& base) {
    const Provider* const provider = find_provider(deployment.provider);
    prefix_ = shared_prefix_ = base.path;
    if (provider != nullptr && provider->format == WireFormat::azure) {
        // The newer interface of Azure, .../openai/v1, is OpenAI's own but for the key.
        if (!ends_with(base.path, "/openai/v1")) {
            const std::string root = base.path + (ends_with(base.path, "/openai") ? "" : "/openai");
            shared_prefix_ = root;
            const auto star = deployment.model.find('*');
            prefix_ = fmt::format("{}/deployments/{}", root, deployment.model.substr(0, star));
            if (star != std::string::npos) after_part_ = deployment.model.substr(star + 1);
            has_part_ = star != std::string::npos;
            suffix_ = fmt::format("?api-version={}", deployment.api_version.empty()
                                                         ? kAzureApiVersion
                                                         : deployment.api_version);
        } else if (!deployment.api_version.empty()) {
            suffix_ = fmt::format("?api-version={}", deployment.api_version);
        }
        if (!deployment.api_key.empty())
            fields_ += fmt::format("api-key: {}\r\n", deployment.api_key);
    } else {
        if (!deployment.api_key.empty())
            fields_ += fmt::format("authorization: Bearer {}\r\n", deployment.api_key);
        if (!deployment.organization.empty()) {
            fields_ += fmt::format("openai-organization: {}\r\n", deployment.organization);
        }
    }
    for (const auto& [name, value] : deployment.extra_headers)
        fields_ += fmt::format("{}: {}\r\n", name, value);
}

void UpstreamForm::append_target(std::string_view endpoint, std::string_view part,
                                 std::string& out) const {
    const bool shared = is_shared_on_azure(endpoint);
    out += shared ? shared_prefix_ : prefix_;
    if (has_part_ && !shared) {
        append_encoded(part, out);
        out += after_part_;
    }
    out += endpoint;
    out += suffix_;
}

}  // namespace weir::router
