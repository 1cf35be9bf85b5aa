#include "proxy/keys.hpp"

#include <fmt/format.h>
#include <openssl/crypto.h>

#include <algorithm>
#include <cstring>

#include "router/wildcard.hpp"
#include "shm/name_key.hpp"

namespace weir::proxy {
namespace {

/// End users come as clients please: their limits live in the segment, and here only as handles,
/// which are dropped all at once when there are too many.
constexpr std::size_t kEndUsersMax = 20'000;

router::ApiError unauthorized(std::string message, std::string type = "auth_error") {
    router::ApiError error;
    error.status = 401;
    error.type = std::move(type);
    error.message = "Authentication Error, " + std::move(message);
    return error;
}

constexpr std::string_view kScheme = "Bearer ";

bool has_scheme(std::string_view value) noexcept {
    return value.size() > kScheme.size() && router::same_name(value.substr(0, kScheme.size()), kScheme);
}

/// The key in a field that is for keys alone: with the scheme or without it.
std::string_view bare(std::string_view value) noexcept {
    return has_scheme(value) ? value.substr(kScheme.size()) : value;
}

/// The key that a request presents, or why there is none. `own_field` is the configured one, or empty.
std::variant<std::string_view, router::ApiError> presented(const router::Fields& fields,
                                                           std::string_view own_field) {
    if (!own_field.empty()) {
        if (const auto value = fields.get(own_field); !value.empty()) return bare(value);
    }
    if (const auto value = fields.get("x-litellm-api-key"); !value.empty()) return bare(value);
    const std::string_view authorization = fields.get("authorization");
    if (authorization.empty()) {
        for (const std::string_view other :
             {"api-key", "x-api-key", "x-goog-api-key", "ocp-apim-subscription-key"}) {
            if (const std::string_view key = fields.get(other); !key.empty()) return key;
        }
        return unauthorized("No api key passed in.");
    }
    if (!has_scheme(authorization)) {
        return unauthorized("Malformed API Key passed in. Ensure Key has `Bearer ` prefix.");
    }
    return authorization.substr(kScheme.size());
}

/// Whether `models` have the one that is asked for, by either of its names. A pattern stands for groups; where
/// the group is a pattern itself, for the models that it takes.
bool allows(const std::vector<std::string>& models, const AskedModel& asked) {
    const bool open_group = asked.group.empty() || asked.group.find('*') != std::string_view::npos;
    const std::string_view single = open_group ? asked.name : asked.group;
    return std::any_of(models.begin(), models.end(), [&](const std::string& model) {
        return model == asked.name || model == asked.group || router::wildcard_match(model, single);
    });
}

router::ApiError access_denied(const Confinement& confined, std::string_view model) {
    router::ApiError error;
    error.status = 403;
    error.type = confined.kind + "_model_access_denied";
    error.param = "model";
    error.message = fmt::format("The {} '{}' may not use the model '{}'.", confined.kind, confined.name, model);
    return error;
}

void confine(Identity& identity, std::string_view kind, const std::string& name,
             const std::vector<std::string>& models) {
    if (!models.empty()) identity.confined.push_back({std::string(kind), name, &models});
}

}  // namespace

Keys::Keys(const router::RouterConfig& config, shm::Segment& segment)
    : config_(config), segment_(segment) {
    if (const auto most = config.global_max_parallel_requests) {
        everybody_ = router::Hold{"global", "requests", *most, true, {}};
        everybody_->look_up(segment);
    }
    if (config.key_limits_count_input_only) token_unit_ = shm::Unit::input_tokens;
    if (config.key_limits_count_output_only) token_unit_ = shm::Unit::output_tokens;
    if (!config.master_key.empty()) {
        identities_[sha256_(config.master_key)] =
            std::make_unique<Identity>(Identity{"master key", nullptr, {}, {}});
    }
    const router::WeirSettings& weir = config.weir;
    for (const router::KeyConfig& key : weir.keys) {
        auto identity = std::make_unique<Identity>(Identity{key.name, &key, {}, {}});
        identity->owner = shm::hash_bytes(key.name, 0) | 1;
        identity->bounds = router::bounds_of(config, weir.request_options, key.request_options);
        identity->limits.push_back(std::make_shared<LimitSet>("api_key", key.name, key.limits,
                                                              weir.window, token_unit_, segment));
        confine(*identity, "key", key.name, key.models);
        add_owner(*identity, "user", weir.users, key.user);
        add_owner(*identity, "team", weir.teams, key.team);
        identities_[key.key.empty() ? from_hex(key.key_sha256) : sha256_(key.key)] = std::move(identity);
    }
}

/// Nothing is added if nothing is declared of that name.
void Keys::add_owner(Identity& identity, std::string_view kind,
                     const std::vector<router::OwnerConfig>& owners, const std::string& name) {
    const auto declared =
        std::find_if(owners.begin(), owners.end(),
                     [&](const router::OwnerConfig& entry) { return entry.name == name; });
    if (name.empty() || declared == owners.end()) return;
    auto& set = owners_[fmt::format("{}:{}", kind, name)];
    if (!set) {
        set = std::make_shared<LimitSet>(kind, name, declared->limits, config_.weir.window,
                                         token_unit_, segment_);
    }
    identity.limits.push_back(set);
    confine(identity, kind, name, declared->models);
}

std::variant<const Identity*, router::ApiError> Keys::identify(const router::Fields& fields,
                                                               LastDigest& last,
                                                               shm::Nanos (*unix_now)()) const {
    if (identities_.empty()) return &anybody_;
    const auto key = presented(fields, config_.key_field);
    if (const auto* error = std::get_if<router::ApiError>(&key)) return *error;
    // The table is searched by the hash's bits, of which nothing can be learned about the key.
    const Digest& wanted = last.of(std::get<std::string_view>(key), sha256_);
    const auto found = identities_.find(wanted);
    if (found == identities_.end() ||
        CRYPTO_memcmp(found->first.data(), wanted.data(), wanted.size()) != 0) {
        return unauthorized("Invalid proxy server token passed.", "token_not_found_in_db");
    }
    const Identity& identity = *found->second;
    if (identity.config && identity.config->blocked) return unauthorized("Key is blocked.");
    if (identity.config && identity.config->expires && *identity.config->expires <= unix_now()) {
        return unauthorized("Key is expired.", "expired_key");
    }
    return &identity;
}

std::string_view Keys::resolve(const Identity& identity, std::string_view model) noexcept {
    if (!identity.config) return model;
    const auto alias = identity.config->aliases.find(model);
    return alias == identity.config->aliases.end() ? model : std::string_view(alias->second);
}

std::optional<router::ApiError> Keys::check_model(const Identity& identity, const AskedModel& model,
                                                  std::string_view end_user) const {
    for (const Confinement& confined : identity.confined) {
        if (!allows(*confined.models, model)) return access_denied(confined, model.name);
    }
    if (end_user.empty()) return std::nullopt;
    const EndUser who = find_end_user(identity, end_user);
    if (!who.config || who.config->models.empty() || allows(who.config->models, model)) return std::nullopt;
    return access_denied({"end_user", who.name, &who.config->models}, model.name);
}

void Keys::scopes_for(const Identity& identity, std::string_view model, std::string_view end_user,
                      CallerScopes& out) {
    out.clear();
    if (everybody_) out.holds.push_back(&*everybody_);
    for (const auto& set : identity.limits) set->append(model, out);
    if (end_user.empty()) return;
    out.end_user = end_user_set(identity, end_user);
    if (out.end_user) out.end_user->append(model, out);
}

/// What is said of an end user: as declared by name, or by its key, or the default for all.
Keys::EndUser Keys::find_end_user(const Identity& identity, std::string_view end_user) const {
    const router::WeirSettings& weir = config_.weir;
    for (const router::OwnerConfig& declared : weir.end_users) {
        if (declared.name == end_user) return {&declared, declared.name};
    }
    if (identity.config && identity.config->end_user) {
        return {&*identity.config->end_user, fmt::format("{}/{}", identity.name, end_user)};
    }
    return {weir.end_user_default ? &*weir.end_user_default : nullptr, std::string(end_user)};
}

std::shared_ptr<LimitSet> Keys::end_user_set(const Identity& identity, std::string_view end_user) {
    const EndUser who = find_end_user(identity, end_user);
    if (!who.config) return nullptr;
    if (end_users_.size() >= kEndUsersMax) end_users_.clear();
    auto& set = end_users_[who.name];
    if (!set) {
        set = std::make_shared<LimitSet>("end_user", who.name, who.config->limits, config_.weir.window,
                                         token_unit_, segment_);
    }
    return set;
}

Keys::Digest Keys::from_hex(std::string_view hex) {
    const auto digit = [](char c) {
        return static_cast<unsigned>(c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
    };
    Digest out{};
    for (std::size_t i = 0; i < out.size() && 2 * i + 1 < hex.size(); ++i) {
        out[i] = static_cast<unsigned char>(digit(hex[2 * i]) * 16 + digit(hex[2 * i + 1]));
    }
    return out;
}

std::size_t Keys::DigestHash::operator()(const Digest& digest) const noexcept {
    std::size_t bits;
    std::memcpy(&bits, digest.data(), sizeof bits);
    return bits;
}

std::optional<router::Problem> open_door(const router::RouterConfig& config) {
    if (!config.master_key.empty() || !config.weir.keys.empty()) return std::nullopt;
    return router::Problem{router::Problem::Severity::warning, 0, "general_settings.master_key",
                           "neither this nor a key in weir_settings.keys is set: whoever reaches the proxy "
                           "may use it"};
}

}  // namespace weir::proxy
