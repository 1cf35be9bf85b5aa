#include "loadtest/plan.hpp"

#include <fmt/format.h>

#include <chrono>

namespace weir::loadtest {
namespace {

Nanos nanos(double seconds) {
    return std::chrono::duration_cast<Nanos>(std::chrono::duration<double>(seconds));
}

std::optional<router::Url> read_url(const std::string& text, const char* option,
                                    std::vector<std::string>& complaints) {
    std::string error;
    auto url = router::parse_url(text, error);
    if (url && url->tls) {
        error = fmt::format("{}: https is not supported here", text);
        url.reset();
    }
    if (!url) complaints.push_back(fmt::format("error: {}: {}", option, error));
    return url;
}

bool same_server(const router::Url& a, const router::Url& b) { return a.host == b.host && a.port == b.port; }

/// What deployments may take per window: requests, and tokens where those are what is limited.
struct Allowance {
    std::optional<std::uint64_t> requests;
    std::optional<std::uint64_t> tokens;
};

/// Of a limit on tokens, as many requests as have answers of `answer_tokens`.
Allowance allowance(std::optional<std::uint64_t> rpm, std::optional<std::uint64_t> tpm,
                    std::optional<std::uint64_t> answer_tokens) {
    if (!tpm || !answer_tokens) return {rpm, {}};
    const std::uint64_t answers = *tpm / *answer_tokens;
    if (rpm && *rpm <= answers) return {rpm, {}};
    return {answers, tpm};
}

/// What the deployments of `model` may take together: those at `server`, or all. Empty if one of them has
/// no limit, or if there is none.
Allowance allowance_of(const router::RouterConfig& config, const Options& options,
                       const router::Url* server) {
    std::optional<Allowance> sum;
    for (const auto& deployment : config.model_list) {
        if (deployment.model_name != options.model) continue;
        std::string ignored;
        const auto url = router::parse_url(deployment.api_base, ignored);
        if (server != nullptr && !(url && same_server(*url, *server))) continue;
        const Allowance own = allowance(deployment.rpm, deployment.tpm, options.answer_tokens);
        if (!own.requests) return {};
        if (!sum) {
            sum = own;
            continue;
        }
        *sum->requests += *own.requests;
        sum->tokens = sum->tokens && own.tokens ? std::optional(*sum->tokens + *own.tokens) : std::nullopt;
    }
    return sum.value_or(Allowance{});
}

bool has_model(const router::RouterConfig& config, const std::string& model) {
    for (const auto& deployment : config.model_list) {
        if (deployment.model_name == model) return true;
    }
    return false;
}

}  // namespace

std::optional<Plan> make_plan(const Options& options, router::RouterConfig config,
                              std::vector<std::string>& complaints) {
    Plan plan;
    const bool is_router = options.mode == Mode::router;
    const std::size_t before = complaints.size();
    plan.config = std::move(config);
    for (const std::string& text : options.urls) {
        if (auto url = read_url(text, "--url", complaints)) plan.proxies.push_back(*std::move(url));
    }
    for (const std::string& text : options.ledgers) {
        auto url = read_url(text, "--ledger", complaints);
        if (!url) continue;
        Allowance own = allowance(options.limit, options.tpm, options.answer_tokens);
        if (!own.requests && is_router) own = allowance_of(plan.config, options, &*url);
        plan.ledgers.push_back({text, *std::move(url), own.requests, own.tokens});
    }
    if (is_router && !has_model(plan.config, options.model)) {
        complaints.push_back(fmt::format("error: {}: no deployment has the model_name \"{}\" (see --model)",
                                         options.config, options.model));
    }
    plan.rules.expect = options.expect;
    if (options.rate) plan.rules.batch_word = "slice";
    plan.rules.answer_tokens = options.answer_tokens;
    if (is_router) plan.rules.limit = allowance_of(plan.config, options, nullptr).requests;
    plan.rules.window = options.window_seconds ? nanos(*options.window_seconds)
                        : is_router            ? plan.config.weir.window
                                               : std::chrono::seconds(60);
    plan.rules.transit = nanos(options.transit_ms / 1000);
    if (complaints.size() > before) return std::nullopt;
    return plan;
}

std::optional<Plan> make_plan(const Options& options, std::vector<std::string>& complaints) {
    if (options.mode == Mode::proxy) return make_plan(options, router::RouterConfig{}, complaints);
    auto loaded = router::load_config(options.config);
    for (const auto& problem : loaded.problems) {
        complaints.push_back(router::to_string(problem, options.config));
    }
    if (!loaded.ok()) return std::nullopt;
    return make_plan(options, std::move(loaded.config), complaints);
}

}  // namespace weir::loadtest
