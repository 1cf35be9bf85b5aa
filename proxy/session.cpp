#include "proxy/session.hpp"

#include <algorithm>

#include "proxy/info.hpp"
#include "proxy/limit_fields.hpp"
#include "proxy/log.hpp"
#include "proxy/request_fields.hpp"
#include "router/multipart.hpp"
#include "router/wall_clock.hpp"

namespace weir::proxy {

using router::Call;
using router::Task;

namespace {

/// How long to read on after a request that was not read to its end.
constexpr shm::Nanos kLinger = std::chrono::seconds(1);

/// Logged where the client left before it was answered.
constexpr unsigned kClientGone = 499;

/// Why `identity` may not ask for `model` (no alias of its own) on behalf of `end_user`; nothing if it may.
std::optional<router::ApiError> denial(const Setup& setup, const Identity& identity, std::string_view model,
                                       std::string_view end_user = {}) {
    return setup.keys.check_model(identity, {model, setup.router.resolve(model)}, end_user);
}

/// Whether there is such a model for `identity`.
bool offers(const Setup& setup, const Identity& identity, std::string_view model) {
    return !setup.router.resolve(model).empty() && !denial(setup, identity, model);
}

/// What `identity` may ask for: of the listed models, and of the names that it is confined to, for those may
/// be taken by a wildcard.
std::vector<std::string> models_for(const Setup& setup, const Identity& identity) {
    const auto hidden = [&](const std::string& name) { return !offers(setup, identity, name); };
    std::vector<std::string> names = setup.router.models();
    for (const Confinement& confined : identity.confined) {
        for (const std::string& name : *confined.models) {
            if (name.find('*') == std::string::npos) names.push_back(name);
        }
    }
    names.erase(std::remove_if(names.begin(), names.end(), hidden), names.end());
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    return names;
}

}  // namespace

Session::Session(Service& service, router::Socket socket)
    : service_(service),
      connection_(std::move(socket), service.pulse),
      intake_(connection_),
      answer_(connection_),
      grace_(*this) {
    service.pulse.watch(grace_);
}

const router::ClientSettings& Session::limits() const noexcept {
    const Setup& setup = setup_ ? *setup_ : *service_.setup;
    return setup.router.config().weir.clients;
}

Task<void> Session::run() {
    const auto self = shared_from_this();
    if (!co_await greet()) co_return connection_.close();
    for (;;) {
        const auto read = co_await read_request();
        if (read == Intake::Result::gone) break;
        begin_answer(read == Intake::Result::ready);
        if (read == Intake::Result::ready) {
            co_await answer_request();
        } else {
            co_await write(to_answer(intake_.refusal()));
        }
        finish_request();
        if (read == Intake::Result::refused) co_await linger();
        if (!answer_.keep_alive() || service_.draining) break;
        setup_.reset();  // an idle connection must not keep an old configuration alive
    }
    connection_.close();
}

Task<void> Session::turn_away() {
    const auto self = shared_from_this();
    if (!co_await greet()) co_return connection_.close();
    const auto read = co_await intake_.read_head(limits());
    if (read == Intake::Result::gone) co_return connection_.close();
    setup_ = service_.setup;
    began_ = shm::now();
    begin_answer(false);
    // Not a braced temporary within the co_await: g++ 12 destroys those twice.
    const router::ApiError error{503, "Too many connections.", "overloaded_error", {}, {}};
    co_await write(to_answer(error));
    finish_request();
    co_await linger();
    connection_.close();
}

void Session::drain() noexcept {
    if (intake_.idle() && !greeting_) connection_.close();
}

/// TLS, where clients are to speak it; false if this one does not.
Task<bool> Session::greet() {
    if (!service_.tls) co_return true;
    greeting_ = true;
    const auto error =
        co_await connection_.accept_tls(*service_.tls, shm::now() + limits().head_timeout);
    greeting_ = false;
    co_return error == router::TransportError::none;
}

Task<Intake::Result> Session::read_request() {
    served_ = {};
    client_gone_ = false;
    const auto head = co_await intake_.read_head(limits());
    setup_ = service_.setup;
    began_ = shm::now();
    if (head != Intake::Result::ready) co_return head;
    ++service_.requests;
    const router::Fields& fields = intake_.head().fields;
    const std::string_view id = fields.get("x-request-id");
    served_.request_id = service_.ids.choose(id.empty() ? fields.get("x-litellm-call-id") : id);
    co_return co_await intake_.read_body(limits(), setup_->router.config().weir.max_body_bytes);
}

/// What was not read to its end is not `sound`: nobody knows where the next request begins.
void Session::begin_answer(bool sound) {
    const bool keep_alive = sound && intake_.keep_alive() && !service_.draining;
    answer_.begin({keep_alive, intake_.head().method == "HEAD", intake_.head().version == 11,
                   limits().write_timeout, began_});
}

Task<void> Session::answer_request() {
    const router::MessageHead& head = intake_.head();
    if (head.method == "OPTIONS" && head.fields.has("access-control-request-method")) {
        co_return co_await write(preflight_answer(head.fields));
    }
    const Route route = find_route(head.method, head.target);
    const bool closed = route.endpoint == Endpoint::metrics && setup_->router.config().metrics_need_key;
    if (is_open(route.endpoint) && !closed) co_return co_await answer_unknown(route);
    const auto identity = setup_->keys.identify(intake_.head().fields, last_key_, router::unix_now);
    if (const auto* error = std::get_if<router::ApiError>(&identity)) {
        co_return co_await write(to_answer(*error));
    }
    const Identity& known = *std::get<const Identity*>(identity);
    served_.key = known.name;
    if (route.endpoint == Endpoint::forward) co_return co_await forward(route, known);
    if (closed) co_return co_await answer_unknown(route);
    co_await answer_known(route, known);
}

/// What needs no key.
Task<void> Session::answer_unknown(const Route& route) {
    switch (route.endpoint) {
        case Endpoint::method_not_allowed:
            co_return co_await write(not_allowed_answer(route.allow));
        case Endpoint::unserved:
            co_return co_await write(unserved_answer(route.why));
        case Endpoint::liveliness:
            co_return co_await write(alive_answer());
        case Endpoint::readiness:
            co_return co_await write(ready_answer(!service_.draining));
        case Endpoint::metrics:
            co_return co_await write(metrics_answer(metrics_page(setup_->router, shm::now())));
        default:
            co_return co_await write(detail_answer(404, "Not Found"));
    }
}

/// What needs a key, and is answered without asking anybody else.
Task<void> Session::answer_known(const Route& route, const Identity& identity) {
    router::Router& router = setup_->router;
    const auto visible = [&](std::string_view group) {
        return !setup_->keys.check_model(identity, {group, group}, {});
    };
    switch (route.endpoint) {
        case Endpoint::model_info:
            co_return co_await write(model_info(router, shm::now(), visible));
        case Endpoint::model_group_info:
            co_return co_await write(model_group_info(router, visible));
        case Endpoint::health:
            co_return co_await write(health(router, shm::now(), visible));
        case Endpoint::models:
            co_return co_await write(models_answer(models_for(*setup_, identity)));
        case Endpoint::model:
            co_return co_await write(describe_model(route.model, identity));
        default:
            co_return;
    }
}

/// An entry of the list of models. One that `identity` may not use is not there for it.
PlainAnswer Session::describe_model(const std::string& name, const Identity& identity) const {
    return offers(*setup_, identity, Keys::resolve(identity, name)) ? model_answer(name)
                                                                    : no_model_answer(name);
}

/// What the body says, or the error to answer with. `form_type` is the content type of a form, or empty.
std::optional<router::RequestFacts> Session::read_facts(const Route& route, std::string_view form_type,
                                                        router::ApiError& error) {
    const auto where = route.model.empty() ? router::ModelIn::body : router::ModelIn::path;
    auto read = form_type.empty() ? reader_.read(intake_.body(), where)
                                  : router::read_form(intake_.body(), form_type, where);
    if (auto* facts = std::get_if<router::RequestFacts>(&read)) return std::move(*facts);
    error = router::to_error(std::get<router::BadRequest>(read));
    return std::nullopt;
}

/// Adds what the head says about the request: how to treat it, and whom it is for. False, with the error, if
/// that cannot be, or if nobody is named and somebody must be.
bool Session::heed_head(router::RequestFacts& facts, router::ApiError& error) const {
    const router::RouterConfig& config = setup_->router.config();
    if (auto refused = apply_fields(intake_.head().fields, facts)) {
        error = std::move(*refused);
        return false;
    }
    if (!config.user_field.empty()) {
        const std::string_view named = intake_.head().fields.get(config.user_field);
        if (!named.empty()) facts.user = named;
    }
    if (!config.user_needed || !facts.user.empty()) return true;
    error = {400, "Missing required parameter: 'user'.", "invalid_request_error", "user", {}};
    return false;
}

Task<void> Session::forward(const Route& route, const Identity& identity) {
    const std::string_view type = intake_.head().fields.get("content-type");
    const bool form = router::is_form(type);
    router::ApiError error;
    auto facts = read_facts(route, form ? type : std::string_view(), error);
    if (!facts || !heed_head(*facts, error)) co_return co_await write(to_answer(error));
    lowered_ = identity.bounds ? router::apply_bounds(*facts, *identity.bounds) : std::string();
    served_.bytes_in = intake_.body().size();
    facts->model = Keys::resolve(identity, route.model.empty() ? facts->model : route.model);
    if (facts->own_fallbacks) {
        rename(*facts->own_fallbacks, [&](std::string_view name) { return Keys::resolve(identity, name); });
    }
    served_.model = facts->model;

    router::Request request;
    request.endpoint = route.upstream_path;
    request.body = intake_.body();
    request.facts = &*facts;
    if (route.queued && !facts->max_wait_seconds) {  // as long as for an answer
        request.max_wait = setup_->router.config().weir.upstream_timeout;
    }
    request.generates = router::generates_text(route.upstream_path);
    co_await send(request, identity);
    finish_request();  // while what it refers to is there
}

/// What the request counts under; false if the segment is full, and a limit could not be kept.
bool Session::find_scopes(const Identity& identity, std::string_view group,
                          std::string_view end_user) {
    try {
        setup_->keys.scopes_for(identity, group, end_user, caller_);
        return true;
    } catch (const shm::DirectoryFull&) {
        return false;
    }
}

/// What the key may not use, whether it is asked for at once or only as a fallback.
std::optional<router::ApiError> Session::check_models(const Identity& identity,
                                                      const router::RequestFacts& facts) const {
    const auto check = [&](std::string_view model) { return denial(*setup_, identity, model, facts.user); };
    if (auto denied = check(facts.model)) return denied;
    if (!facts.own_fallbacks) return std::nullopt;
    for (const std::string_view model : router::named_in(*facts.own_fallbacks)) {
        if (auto denied = check(model)) return denied;
    }
    return std::nullopt;
}

Task<void> Session::send(router::Request& request, const Identity& identity) {
    const std::string& model = request.facts->model;
    const std::string_view group = setup_->router.resolve(model);
    if (const auto denied = check_models(identity, *request.facts)) {
        co_return co_await write(to_answer(*denied));
    }
    if (!find_scopes(identity, group, request.facts->user)) {
        co_return co_await write(to_answer(router::no_room()));
    }
    request.caller = {caller_.windows, caller_.holds, {}};
    if (identity.bounds) request.bounds = &*identity.bounds;
    request.owner = identity.owner;
    if (identity.config != nullptr) request.caller.priority = identity.config->priority;
    request.request_id = served_.request_id;
    Call call(setup_->router, request);
    call_ = &call;
    connection_.watch_peer([this](router::Connection::PeerGone how) { client_left(how); });
    co_await call.start();
    grace_.clear_deadline();
    co_await answer_call(call);
    take_note(call);
    call_ = nullptr;
}

Task<void> Session::answer_call(Call& call) {
    if (service_.draining) answer_.end_connection();
    if (client_gone_) {
        served_.status = kClientGone;
        answer_.end_connection();
        co_return;
    }
    own_fields_.clear();
    HeadWriter head(own_fields_);
    append_id(head);
    append_call(head, call);
    if (!call.error()) co_return co_await answer_.relay(call, own_fields_, served_);
    served_.refused = call.error()->status == 429 && !call.deployment();
    co_await answer_.write(to_answer(*call.error()), own_fields_, served_);
}

/// An answer of our own, to a request that went nowhere.
Task<void> Session::write(const PlainAnswer& answer) {
    own_fields_.clear();
    HeadWriter head(own_fields_);
    append_id(head);
    co_await answer_.write(answer, own_fields_, served_);
}

void Session::append_id(HeadWriter& head) const {
    if (intake_.head().fields.has("origin")) head.field("access-control-allow-origin", "*");
    if (served_.request_id.empty()) return;
    head.field("x-request-id", served_.request_id).field("x-litellm-call-id", served_.request_id);
}

void Session::append_call(HeadWriter& head, const Call& call) const {
    std::span<const router::Scope> deployments;
    if (const router::Deployment* deployment = call.deployment()) {
        head.field("x-litellm-model-id", deployment->config().id)
            .field("x-litellm-model-api-base", deployment->config().api_base);
        deployments = deployment->scopes();
    }
    if (!call.group().empty()) head.field("x-litellm-model-group", call.group());
    head.field("x-litellm-attempted-retries", call.effort().retries)
        .field("x-litellm-attempted-fallbacks", call.effort().fallbacks)
        .field("x-weir-limit-mode", to_string(setup_->router.limit_mode()));
    if (!lowered_.empty()) head.field("x-weir-lowered-options", lowered_);
    const shm::Nanos now = call.error() ? shm::now() : call.came_at();
    append_limits(head, setup_->router.participant(), caller_, deployments, now);
}

void Session::take_note(const Call& call) {
    served_.group = call.group();
    if (call.deployment()) {
        deployment_id_ = call.deployment()->config().id;
        served_.deployment = deployment_id_;
        served_.upstream = call.upstream_time();
        served_.first_piece = call.first_piece_time();
    }
    served_.retries = call.effort().retries;
    served_.fallbacks = call.effort().fallbacks;
    served_.usage = call.usage();
}

/// Logs and counts the present request, once.
void Session::finish_request() {
    if (served_.status == 0) return;
    served_.method = intake_.head().method;
    served_.target = intake_.head().target;
    served_.duration = shm::now() - began_;
    if (!served_.model.empty()) setup_->metrics.count(served_);
    if (service_.log.on()) service_.log.add(served_, router::unix_now());
    if (log_level() == LogLevel::debug) log(LogLevel::debug, text_line(served_, router::unix_now()));
    served_ = {};
}

/// After a request that was not read to its end: closing at once would destroy the answer on its
/// way, for what is still unread makes the kernel reset the connection.
Task<void> Session::linger() {
    connection_.finish_writing();
    connection_.set_deadline(shm::now() + kLinger);
    router::ErrorCode error;
    while (!error) {
        error = co_await connection_.read_some();
        connection_.consume(connection_.unread().size());
    }
}

void Session::client_left(router::Connection::PeerGone how) noexcept {
    if (!call_) return;
    if (how == router::Connection::PeerGone::reset) {
        client_gone_ = true;
        return call_->abort();
    }
    // It may have closed only its own side and still wait for the answer. Once the answer has
    // begun, writing it tells.
    if (!answer_.begun()) grace_.set_deadline(shm::now() + limits().half_closed_timeout);
}

void Session::Grace::on_deadline() noexcept {
    if (!session_.call_ || session_.answer_.begun()) return;
    session_.client_gone_ = true;
    session_.call_->abort();
}

}  // namespace weir::proxy
