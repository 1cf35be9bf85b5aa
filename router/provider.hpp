// The one place where providers' wire formats are known: which providers there are, and how a
// request to one is addressed and authenticated. All of them speak OpenAI's JSON; others can be
// added here.
//
// Thread safety: pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "router/config.hpp"
#include "router/url.hpp"

namespace weir::router {

enum class WireFormat : std::uint8_t {
    openai,  ///< api_base + endpoint, "authorization: Bearer"
    azure,   ///< /openai/deployments/{model}, "api-key", ?api-version=
};

struct Provider {
    std::string_view name;  ///< the part of `model` before the first slash
    WireFormat format;
    std::string_view default_base;  ///< empty: api_base must be given
    std::string_view key_variable;  ///< environment variable of the key where none is configured
};

/// Null if there is none of that name.
const Provider* find_provider(std::string_view name) noexcept;

/// The names of all, for messages: "azure, cerebras, …".
std::string provider_names();

/// Whether LiteLLM has a provider of this name that speaks another format than OpenAI's.
bool is_foreign_provider(std::string_view name) noexcept;

/// The API version that is asked of Azure where none is configured.
inline constexpr std::string_view kAzureApiVersion = "2024-10-21";

/// How requests to one deployment begin. Computed once.
class UpstreamForm {
 public:
    UpstreamForm(const DeploymentConfig& deployment, const Url& base);

    /// What to ask for: "/v1/chat/completions" for the endpoint "/chat/completions". Appended to
    /// `out`. `part` stands for the '*' of a model whose name is in the path; any bytes.
    void append_target(std::string_view endpoint, std::string_view part, std::string& out) const;

    /// Header fields that identify us to the upstream, each with its line end: the key,
    /// extra_headers.
    const std::string& fields() const noexcept { return fields_; }

 private:
    std::string prefix_;         // before the endpoint
    std::string after_part_;     // between what a '*' stands for and the endpoint
    bool has_part_ = false;      // the model in the prefix has a '*', at its end
    std::string shared_prefix_;  // the same for endpoints that are not a model's
    std::string suffix_;         // behind it: the query
    std::string fields_;
};

}  // namespace weir::router
