#include "router/call.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/container/small_vector.hpp>

#include "router/feedback.hpp"
#include "router/json_text.hpp"
#include "router/multipart.hpp"
#include "router/observation.hpp"
#include "router/redirect.hpp"
#include "router/spliced_body.hpp"
#include "router/wall_clock.hpp"
#include "router/wildcard.hpp"
#include "shm/health.hpp"

namespace weir::router {
namespace {

constexpr std::string_view kEventStream = "text/event-stream";

/// Whether a stream from there reports its usage if stream_options ask for it.
bool knows_stream_options(std::string_view endpoint) noexcept {
    return endpoint == "/chat/completions" || endpoint == "/completions";
}

ApiError unknown_model(std::string_view model, std::string_view param) {
    ApiError error;
    error.status = 400;
    error.type = "invalid_request_error";
    error.param = param;
    error.message = "Invalid model name passed in model=" + std::string(model) +
                    ". Call `/v1/models` to view available models.";
    return error;
}

RequestSize size_of(const Request& request) {
    const RequestFacts& facts = *request.facts;
    return {facts.prompt_bytes, facts.max_tokens, facts.n, request.generates};
}

}  // namespace

Call::Call(Router& router, const Request& request)
    : router_(router),
      request_(request),
      account_(size_of(request), request_.caller),
      search_(router, account_) {}

Call::~Call() {
    if (!settled_) finish(false, shm::now());
}

Task<void> Call::start() {
    asked_ = request_.facts->model;
    target_ = router_.find(asked_);
    if (target_.group == nullptr) {
        error_ = unknown_model(request_.facts->model, "model");
        co_return;
    }
    if (!knows_fallbacks()) co_return;
    search_.set_terms(terms());
    Outcome outcome = pretended();
    if (outcome.ok()) outcome = co_await try_group();
    while (!outcome.ok() && !aborted_ && !search_.caller_refused() && go_to_fallback(outcome)) {
        outcome = co_await try_group();
    }
    if (exchange_ && !error_) read_pieces(answered_);
}

/// Whether the fallbacks that the request names exist.
bool Call::knows_fallbacks() {
    const auto& own = request_.facts->own_fallbacks;
    if (!own) return true;
    for (const std::string_view name : named_in(*own)) {
        if (router_.find(name).group != nullptr) continue;
        error_ = unknown_model(name, "fallbacks");
        return false;
    }
    return true;
}

/// The failure of the first group that the request wants to see the consequences of; ok() without one.
Outcome Call::pretended() {
    const auto& own = request_.facts->own_fallbacks;
    if (!own || !own->pretended) return {};
    const Kind kind = *own->pretended;
    ApiError error;
    error.status = client_status(kind, 0);
    error.type = std::string(error_type(kind));
    error.message = "A failure that the request asked for (mock_testing_…), and no fallback. Passed model=" +
                    request_.facts->model;
    error_ = std::move(error);
    return {kind, Source::client, Retry::no, false};
}

/// Attempts at the deployments of one group until one answers or no retry is left. On failure
/// error_ says why, unless the failure is an upstream's own answer.
Task<Outcome> Call::try_group() {
    account_.estimate(shm::learned(target_.group->learning));
    search_.begin(*target_.group);
    for (std::uint32_t retries = 0;;) {
        error_.reset();
        sent_ = false;
        Outcome found = search_.take();
        if (!found.ok() && search_.lacks_lease()) found = co_await search_.wait_for_lease();
        if (!found.ok() && search_.may_wait(has_fallback(found.kind))) found = co_await wait_for_place();
        if (!found.ok()) error_ = search_.error();
        if (!found.ok() || aborted_) co_return found;
        const Outcome outcome = co_await attempt();
        if (outcome.ok() || aborted_) co_return outcome;

        fresh_ = met_dead_connection();
        if (fresh_) {  // nobody's failure
            leave_deployment();
            continue;
        }
        const auto retry_after = upstream_delay();
        count_failure(outcome, retry_after);
        const RetryRules rules = retry_rules();
        const FailedAttempt failed{outcome, retries, others_available(),
                                   has_fallback(outcome.kind)};
        if (!may_retry(rules, failed)) co_return outcome;
        search_.avoid(account_.deployment());
        leave_deployment();
        ++retries;
        ++effort_.retries;
        co_await pause(retry_delay(rules, failed, retry_after, RandomSource(router_.random_)));
        if (aborted_) co_return outcome;
    }
}

/// Made when something has failed, so that what succeeds pays nothing for it.
FallbackPlan& Call::plan() {
    if (plan_) return *plan_;
    const auto& own = request_.facts->own_fallbacks;
    if (own) own_rules_ = with_own(router_.config_.fallbacks, *own);
    const FallbackRules& rules = own_rules_ ? *own_rules_ : router_.config_.fallbacks;
    return plan_.emplace(rules, NamedGroup{router_.meaning(asked_), group()},
                         [this](std::string_view name) { return router_.meaning(name); });
}

bool Call::has_fallback(Kind kind) {
    return plan().has_next({asked_, group()}, kind);
}

/// The next group to try; false if there is none.
bool Call::go_to_fallback(const Outcome& outcome) {
    const std::string_view name = plan().next({asked_, group()}, outcome.kind);
    if (name.empty()) return false;
    leave_deployment();
    asked_ = name;
    target_ = router_.find(name);
    ++effort_.fallbacks;
    return true;
}

/// One request to one deployment, until the head of its answer, or more if that is a refusal whose
/// reason stands in the body.
Task<Outcome> Call::attempt() {
    transport_ = co_await send();
    if (transport_ == TransportError::none && exchange_->status() / 100 == 4 &&
        exchange_->pieces().empty() && !exchange_->done()) {
        transport_ = co_await exchange_->next(deadline());
    }
    if (transport_ != TransportError::none) {
        const Outcome outcome = judged(transport_);
        fail(outcome);
        co_return outcome;
    }
    std::string_view snippet;
    if (exchange_->status() >= 400 && !exchange_->pieces().empty()) snippet = exchange_->pieces().front();
    const Outcome outcome = classify(exchange_->status(), snippet);
    if (outcome.ok()) heed_quota(*account_.deployment());
    co_return outcome;
}

/// Apart from try_group, so that who does not wait pays nothing for it.
Task<Outcome> Call::wait_for_place() {
    const Outcome outcome = co_await search_.wait();
    effort_.waited = search_.waited();
    co_return outcome;
}

Search::Terms Call::terms() const {
    constexpr double kWaitSecondsMost = 86400;
    const RequestFacts& facts = *request_.facts;
    Search::Terms terms;
    terms.stream = facts.stream;
    terms.tags = facts.tags;
    terms.owner = request_.owner;
    terms.priority = facts.priority.value_or(router_.config_.default_priority.value_or(kPriorityDefault));
    terms.began = shm::now();
    shm::Nanos patience = router_.config_.weir.queue.max_wait;
    if (facts.max_wait_seconds) {
        patience = shm::from_seconds(std::min(*facts.max_wait_seconds, kWaitSecondsMost));
    }
    terms.give_up_at = terms.began + request_.max_wait.value_or(patience);
    return terms;
}

Task<TransportError> Call::send() {
    transport_ = TransportError::none;
    detail_.clear();
    sent_ = true;
    attempted_ = search_.decided_at();
    patience_ = patience();
    exchange_.reset();
    scanner_.reset();
    stripper_.reset();
    first_byte_ = {};
    held_back_ = {};
    const Deployment& deployment = *account_.deployment();
    // The usage of a stream comes only on demand; without it nothing could be settled.
    asked_usage_ = request_.facts->stream && !request_.facts->include_usage &&
                   knows_stream_options(request_.endpoint);
    std::string filled;  // the model's name, where a wildcard is part of it
    if (deployment.has_wildcard()) filled = wildcard_fill(deployment.config().model, target_.part);
    const std::string_view model =
        deployment.has_wildcard() ? std::string_view(filled) : deployment.config().model;
    const auto& form = request_.facts->form;
    std::string quoted;
    if (deployment.has_wildcard() && !form) quoted = json_string(filled);
    const SplicedBody body =
        form ? splice_form(request_.body, *form, model)
             : splice(request_.body, *request_.facts, quoted.empty() ? deployment.model_json() : quoted,
                      asked_usage_);
    std::string head;
    const std::string_view type = form ? std::string_view(form->content_type) : "application/json";
    deployment.append_head({request_.endpoint, target_.part, type, request_.request_id, body.bytes()}, head);
    boost::container::small_vector<asio::const_buffer, 1 + SplicedBody::kPiecesUsual> pieces;
    pieces.push_back(asio::buffer(head));
    for (const std::string_view piece : body.pieces()) pieces.push_back(asio::buffer(piece));

    TransportError failure = TransportError::none;
    int redirects = 0;
    do {
        exchange_.emplace(deployment.upstream());
        pieces[0] = asio::buffer(head);
        failure = co_await exchange_->start({pieces.data(), pieces.size()}, deadline(), fresh_);
    } while (failure == TransportError::none && is_redirect(exchange_->status()) &&
             (failure = follow(redirects++, head)) == TransportError::none);
    answered_ = shm::now();
    co_return failure;
}

/// After a redirect: `head`, of the request that led to it, asks where it leads. An error if we do not go
/// there.
TransportError Call::follow(int redirects, std::string& head) {
    const unsigned status = exchange_->status();
    const auto location = read_location(account_.deployment()->upstream().url(), request_target(head),
                                        exchange_->fields().get("location"));
    if (keeps_request(status) && location && location->same_origin && redirects < kRedirectsMax) {
        set_request_target(head, location->target);
        return TransportError::none;
    }
    detail_ = fmt::format("it answers with status {}", status);
    if (location) detail_ += " and sends us to " + location->origin;
    if (redirects == kRedirectsMax) detail_ += fmt::format(", the {}th time in a row", redirects + 1);
    return TransportError::redirected;
}

/// The request's own timeouts go before those of the configuration.
Call::Patience Call::patience() const {
    constexpr double most = 86400;
    const RequestFacts& facts = *request_.facts;
    Patience patience = configured_patience();
    if (facts.stream && facts.stream_timeout_seconds) {
        patience.piece = shm::from_seconds(std::min(*facts.stream_timeout_seconds, most));
        if (patience.whole && *patience.piece > *patience.whole) patience.whole.reset();
    }
    if (facts.timeout_seconds) patience.whole = shm::from_seconds(std::min(*facts.timeout_seconds, most));
    return patience;
}

Call::Patience Call::configured_patience() const {
    const DeploymentConfig& config = account_.deployment()->config();
    const RouterConfig& general = router_.config_;
    const shm::Nanos usual = general.weir.upstream_timeout;
    const auto whole = config.timeout ? config.timeout : general.timeout;
    if (!request_.facts->stream) return {whole.value_or(usual), {}};
    const auto piece = config.stream_timeout ? config.stream_timeout : general.stream_timeout;
    // Who lets a stream pause for longer than an answer may take in all has not meant that for streams.
    if (whole && piece && *piece > *whole) return {{}, piece};
    return {whole, piece.value_or(usual)};
}

/// Until when the next part of the answer must be there. The first piece of a stream is waited for from the
/// beginning of the attempt on.
shm::Nanos Call::deadline() const {
    const bool begun = first_byte_ != shm::Nanos{};
    const shm::Nanos whole = patience_.whole ? attempted_ + held_back_ + *patience_.whole : kNever;
    const shm::Nanos piece = patience_.piece ? (begun ? shm::now() : attempted_) + *patience_.piece : kNever;
    return std::min(whole, piece);
}

/// The upstream's part of the time that the attempt has taken.
shm::Nanos Call::taken() const { return shm::now() - attempted_ - held_back_; }

bool Call::ran_out_of_time() const {
    return patience_.whole && taken() >= *patience_.whole;
}

/// What only a client's own impatience has ended says nothing about the deployment.
Outcome Call::judged(TransportError failure) const {
    Outcome outcome = classify(failure);
    const bool late = outcome.kind == Kind::timeout || failure == TransportError::connect_timeout;
    const RequestFacts& facts = *request_.facts;
    if (!late || !(facts.timeout_seconds || facts.stream_timeout_seconds)) return outcome;
    const Patience configured = configured_patience();
    const shm::Nanos whole = configured.whole.value_or(kNever);
    const shm::Nanos piece = configured.piece.value_or(kNever);
    const bool impatient = ran_out_of_time() ? facts.timeout_seconds && taken() < std::min(whole, piece)
                                             : patience_.piece.value_or(kNever) < piece && taken() < whole;
    if (impatient) outcome.source = Source::client;
    return outcome;
}

/// What the circumstances of the latest failure allow.
RetryRules Call::retry_rules() const {
    const RouterConfig& general = router_.config_;
    RetryRules rules = general.retries;
    auto own = general.group_retry_policy.find(asked_);
    if (own == general.group_retry_policy.end()) own = general.group_retry_policy.find(group());
    if (own != general.group_retry_policy.end()) rules.policy = own->second;
    const auto deployments = account_.deployment()->config().num_retries;
    rules.num_retries = most_retries(deployments.value_or(rules.num_retries), request_.facts->num_retries,
                                     request_.bounds);
    return rules;
}

/// When the upstream wants to be asked again, from now, if it has answered and said so.
std::optional<shm::Nanos> Call::upstream_delay() const {
    if (transport_ != TransportError::none) return std::nullopt;
    const Feedback feedback = read_feedback(exchange_->fields(), unix_now());
    return feedback.retry_after ? feedback.retry_after : exhausted_for(feedback);
}

/// Every process sees the failure, and the cooldown if there is to be one, at once.
void Call::count_failure(const Outcome& outcome, std::optional<shm::Nanos> retry_after) {
    const bool only_one = target_.group->deployments.size() == 1;
    observe_failure(*account_.deployment(), router_.config_.cooldowns,
                    {outcome, only_one, retry_after, request_.facts->stream, router_.config_.latency_memory},
                    shm::now());
}

bool Call::others_available() const {
    const shm::Nanos now = shm::now();
    const auto& deployments = target_.group->deployments;
    return std::any_of(deployments.begin(), deployments.end(), [&](const Deployment* other) {
        return other != account_.deployment() && search_.may_use(*other) &&
               shm::cooldown_until(other->health()) <= now;
    });
}

std::string Call::failure_text() const {
    const std::string_view reason = detail_.empty() ? exchange_->reason() : std::string_view(detail_);
    return describe(transport_, reason) + ". Deployment=" + account_.deployment()->config().id;
}

void Call::fail(const Outcome& outcome) {
    ApiError error;
    error.status = client_status(transport_);
    error.type = std::string(error_type(outcome.kind));
    error.message = failure_text();
    if (!aborted_) router_.note_failure(error.message);
    error_ = std::move(error);
}

/// The upstream counts an answer's tokens before it says what is left, but not those of what it refuses:
/// there the reservation is to be given back first.
void Call::heed_quota(const Deployment& deployment) {
    if (!tells_quota(exchange_->fields())) return;
    observe_quota(deployment, router_.config_.cooldowns, read_feedback(exchange_->fields(), unix_now()),
                  router_.participant_, shm::now());
}

bool Call::was_refused() const noexcept {
    return transport_ == TransportError::none && exchange_ && exchange_->status() >= 400;
}

/// Before another deployment is asked.
void Call::leave_deployment() {
    const Deployment* left = account_.deployment();
    account_.settle_attempt(spent(), shm::now());
    if (left != nullptr && was_refused()) heed_quota(*left);
    router_.wait_room_.capacity_returned();
    exchange_.reset();
    scanner_.reset();
}

Task<void> Call::pause(shm::Nanos duration) {
    if (duration <= shm::Nanos{}) co_return;
    Timer timer(router_.io_);
    pausing_ = &timer;
    timer.expires_after(duration);
    co_await timer.async_wait(kAwait);
    pausing_ = nullptr;
}

Task<TransportError> Call::next() {
    held_back_ += shm::now() - came_at_;
    TransportError failure = co_await exchange_->next(deadline());
    const bool cut = failure == TransportError::stalled && request_.facts->stream && ran_out_of_time();
    if (cut) failure = TransportError::overran;
    if (failure == TransportError::none) {
        read_pieces(shm::now());
    } else {
        transport_ = failure;
        if (!aborted_) {
            count_failure(judged(failure), std::nullopt);
            router_.note_failure(failure_text());
        }
        finish(false, shm::now());
    }
    co_return failure;
}

void Call::abort() noexcept {
    aborted_ = true;
    search_.leave();
    if (exchange_) exchange_->abort();
    if (pausing_) pausing_->cancel();
}

/// Looks through what has come of the answer; settles when it has ended.
void Call::read_pieces(shm::Nanos now) {
    came_at_ = now;
    if (!scanner_) begin_reading();
    pieces_.clear();
    stripped_.clear();
    for (const std::string_view piece : exchange_->pieces()) {
        if (stripper_) {
            stripped_ += stripper_->feed(piece);
        } else {
            scanner_->feed(piece);
            pieces_.push_back(asio::buffer(piece));
        }
    }
    if (stripper_ && exchange_->done()) stripped_ += stripper_->finish();
    if (!stripped_.empty()) pieces_.push_back(asio::buffer(stripped_));
    if (first_byte_ == shm::Nanos{} && !exchange_->pieces().empty()) first_byte_ = now;
    if (exchange_->done()) finish(true, now);
}

void Call::begin_reading() {
    const std::string_view type = exchange_->fields().get("content-type");
    const bool events = type.substr(0, kEventStream.size()) == kEventStream;
    scanner_.emplace(events ? AnswerKind::events : AnswerKind::json);
    if (events && asked_usage_ && !router_.config().usage_in_streams) stripper_.emplace(*scanner_);
}

std::int64_t Call::content_length() const noexcept {
    return stripper_ ? -1 : exchange_->content_length();
}

/// Replaces the estimates by what the request has really cost, as far as that is known.
void Call::finish(bool whole, shm::Nanos now) {
    settled_ = true;
    account_.settle(spent(), now);
    if (account_.deployment() != nullptr && was_refused()) heed_quota(*account_.deployment());
    router_.wait_room_.capacity_returned();
    if (!whole || exchange_->status() >= 400) return;
    shm::LatencySample sample{now - attempted_, {}, router_.config_.latency_memory};
    if (const auto first = first_piece_time()) sample.ttft = *first;
    shm::record_success(account_.deployment()->health(), now, sample);
    if (const auto usage = scanner_->usage()) {
        const std::uint64_t answers = std::max<std::uint64_t>(account_.size().n, 1);
        const std::uint64_t completion = (usage->completion_tokens + answers - 1) / answers;
        shm::learn(target_.group->learning,
                   {account_.size().prompt_bytes, usage->prompt_tokens, completion});
    }
}

bool Call::met_dead_connection() const noexcept {
    return transport_ == TransportError::closed && exchange_ && exchange_->was_dead();
}

Spent Call::spent() const {
    Spent spent;
    if (account_.deployment() == nullptr || !sent_) return spent;
    const bool answered = transport_ == TransportError::none && exchange_ && exchange_->status() != 0;
    spent.arrived = transport_ == TransportError::none || may_have_arrived(transport_);
    // A connection that had died idle may have delivered the request, but hardly to be worked on.
    spent.worked = spent.arrived && !met_dead_connection() && transport_ != TransportError::redirected &&
                   !(answered && exchange_->status() >= 400);
    if (!scanner_) return spent;
    spent.usage = scanner_->usage();
    spent.seen = {scanner_->content_events(), scanner_->content_bytes()};
    return spent;
}

}  // namespace weir::router
