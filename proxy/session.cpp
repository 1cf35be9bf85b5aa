#include "proxy/session.hpp"

#include <fmt/format.h>

#include <iterator>

#include "proxy/info.hpp"
#include "proxy/limit_fields.hpp"
#include "proxy/multipart.hpp"

namespace weir::proxy {

namespace asio = router::asio;
using router::Call;
using router::ErrorCode;
using router::Task;
using router::TransportError;

namespace {

shm::Nanos unix_now() {
    return std::chrono::duration_cast<shm::Nanos>(
        std::chrono::system_clock::now().time_since_epoch());
}

}  // namespace

Session::Session(Service& service, router::Socket socket)
    : service_(service), connection_(std::move(socket), service.pulse), grace_(*this) {
    service.pulse.watch(grace_);
}

Task<void> Session::run() {
    const auto self = shared_from_this();
    do {
        setup_ = service_.setup;
        const Read read = co_await read_request();
        if (read == Read::end) break;
        if (read == Read::request) co_await answer_request();
        finish_request();
        if (read == Read::bad) co_await linger();
    } while (keep_alive_ && !service_.draining);
    connection_.close();
}

void Session::drain() noexcept {
    if (idle_) connection_.close();
}

Task<Session::Read> Session::read_request() {
    body_.clear();
    pieces_.clear();
    out_.clear();
    answer_begun_ = false;
    head_.method.clear();
    head_.target.clear();
    served_ = {};
    keep_alive_ = false;  // until the request is found to be sound
    router::HttpParser<true> parser(head_, pieces_, SessionLimits::kHeadBytesMax);
    const Read head = co_await read_head(parser);
    if (head != Read::request) co_return head;
    setup_ = service_.setup;  // not the one from before a long idle time
    began_ = shm::now();
    served_.request_id = service_.ids.choose(head_.fields.get("x-request-id"));
    const Read body = co_await read_body(parser);
    keep_alive_ = body == Read::request && parser.keep_alive();
    co_return body;
}

Task<Session::Read> Session::read_head(router::HttpParser<true>& parser) {
    idle_ = true;
    connection_.set_deadline(shm::now() + SessionLimits::kIdle);
    while (!parser.is_header_done()) {
        if (connection_.unread().size() == 0 || parser.got_some()) {
            if (co_await connection_.read_some()) co_return Read::end;
        }
        if (idle_) connection_.set_deadline(shm::now() + SessionLimits::kHead);
        idle_ = false;
        ErrorCode error;
        connection_.consume(parser.put(connection_.unread(), error));
        if (error == boost::beast::http::error::need_more) continue;
        if (error == boost::beast::http::error::header_limit) {
            co_await refuse(431, "The request's head is too large.", "headers");
            co_return Read::bad;
        }
        if (error) {
            co_await refuse(400, "Not a valid HTTP/1.1 request: " + error.message(), "request");
            co_return Read::bad;
        }
    }
    co_return Read::request;
}

Task<Session::Read> Session::read_body(router::HttpParser<true>& parser) {
    const std::uint64_t announced = parser.content_length().value_or(0);
    bool fits = announced <= setup_->router.config().weir.max_body_bytes && take_body();
    if (fits && !parser.is_done() && router::same_name(head_.fields.get("expect"), "100-continue")) {
        static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
        const asio::const_buffer piece = asio::buffer(kContinue);
        if (co_await connection_.write({&piece, 1})) co_return Read::end;
    }
    if (fits) body_.reserve(announced);
    while (fits && !parser.is_done()) {
        if (connection_.unread().size() == 0) {
            connection_.set_deadline(shm::now() + SessionLimits::kBody);
            if (co_await connection_.read_some()) co_return Read::end;
        }
        ErrorCode error;
        const std::size_t used = parser.put(connection_.unread(), error);
        connection_.consume(used);
        fits = take_body();
        if (error == boost::beast::http::error::need_more) {
            if (co_await connection_.read_some()) co_return Read::end;
        } else if (error) {
            co_await refuse(400, "The request's body is malformed: " + error.message(), "request_body");
            co_return Read::bad;
        }
    }
    if (!fits) {
        co_await refuse(413,
                        fmt::format("The request's body is larger than {} bytes.",
                                    setup_->router.config().weir.max_body_bytes),
                        "request_body");
        co_return Read::bad;
    }
    connection_.clear_deadline();
    co_return Read::request;
}

/// Gathers what the parser has found of the body; false if it has become too large.
bool Session::take_body() {
    for (const asio::const_buffer& piece : pieces_) {
        body_.append(static_cast<const char*>(piece.data()), piece.size());
    }
    pieces_.clear();
    return body_.size() <= setup_->router.config().weir.max_body_bytes;
}

Task<void> Session::answer_request() {
    const Route route = find_route(head_.method, head_.target);
    switch (route.endpoint) {
        case Endpoint::not_found: co_return co_await write(detail_answer(404, "Not Found"));
        case Endpoint::method_not_allowed: {
            PlainAnswer answer = detail_answer(405, "Method Not Allowed");
            answer.fields.emplace_back("allow", route.allow);
            co_return co_await write(answer);
        }
        case Endpoint::liveliness: {
            PlainAnswer answer;
            answer.body = R"("I'm alive!")";
            co_return co_await write(answer);
        }
        case Endpoint::readiness: {
            PlainAnswer answer;
            answer.body = R"({"status":"healthy","db":"Not connected","cache":null})";
            co_return co_await write(answer);
        }
        default: break;
    }
    if (route.endpoint == Endpoint::metrics) {
        PlainAnswer answer;
        answer.content_type = "text/plain; version=0.0.4; charset=utf-8";
        answer.body = metrics_page(setup_->router, shm::now());
        co_return co_await write(answer);
    }
    const auto identity = setup_->keys.identify(head_.fields, unix_now());
    if (const auto* error = std::get_if<router::ApiError>(&identity)) {
        co_return co_await write(to_answer(*error));
    }
    served_.key = std::get<const Identity*>(identity)->name;
    co_await answer_known(route, *std::get<const Identity*>(identity));
}

Task<void> Session::answer_known(const Route& route, const Identity& identity) {
    router::Router& router = setup_->router;
    switch (route.endpoint) {
        case Endpoint::model_info: co_return co_await write(model_info(router, shm::now()));
        case Endpoint::model_group_info: co_return co_await write(model_group_info(router));
        case Endpoint::health: co_return co_await write(health(router, shm::now()));
        case Endpoint::models: co_return co_await write(models_answer(router.models()));
        case Endpoint::model:
            if (!router.resolve(route.model).empty()) co_return co_await write(model_answer(route.model));
            co_return co_await refuse(404, "The model '" + route.model + "' does not exist.", "model");
        default: co_return co_await forward(route, identity);
    }
}

/// What the body says, or the error to answer with.
std::optional<router::RequestFacts> Session::read_facts(const Route& route, router::ApiError& error) {
    const std::string_view type = head_.fields.get("content-type");
    if (is_multipart(type)) {
        const auto field = find_model_field(body_, type);
        if (field) {
            router::RequestFacts facts;
            facts.model_value = *field;
            facts.model = body_.substr(field->begin, field->end - field->begin);
            return facts;
        }
        error = {400, "The form needs one field \"model\".", "invalid_request_error", "model", {}};
        return std::nullopt;
    }
    auto read = reader_.read(body_, route.model.empty() ? router::ModelIn::body : router::ModelIn::path);
    if (auto* facts = std::get_if<router::RequestFacts>(&read)) return std::move(*facts);
    const auto& bad = std::get<router::BadRequest>(read);
    error = {400, bad.message, "invalid_request_error", std::string(bad.param), {}};
    return std::nullopt;
}

Task<void> Session::forward(const Route& route, const Identity& identity) {
    router::ApiError error;
    auto facts = read_facts(route, error);
    if (!facts) co_return co_await write(to_answer(error));
    served_.bytes_in = body_.size();
    facts->model = Keys::resolve(identity, route.model.empty() ? facts->model : route.model);
    served_.model = facts->model;

    router::Request request;
    request.endpoint = route.upstream_path;
    request.body = body_;
    request.facts = &*facts;
    request.json = !is_multipart(head_.fields.get("content-type"));
    if (!request.json) request.content_type = head_.fields.get("content-type");
    request.generates = route.upstream_path == "/chat/completions" ||
                        route.upstream_path == "/completions" || route.upstream_path == "/responses";
    co_await send(request, identity);
    finish_request();  // while what it refers to is there
}

Task<void> Session::send(router::Request& request, const Identity& identity) {
    const std::string& model = request.facts->model;
    const std::string_view group = setup_->router.resolve(model);
    if (const auto denied = setup_->keys.check_model(identity, group.empty() ? model : group)) {
        co_return co_await write(to_answer(*denied));
    }
    setup_->keys.scopes_for(identity, group, request.facts->user, caller_);
    request.caller = {caller_.windows, caller_.holds, {}};
    if (identity.config != nullptr) request.caller.priority = identity.config->priority;
    request.request_id = served_.request_id;
    Call call(setup_->router, request);
    call_ = &call;
    connection_.watch_peer([this](router::Connection::PeerGone how) { client_left(how); });
    co_await call.start();
    grace_.clear_deadline();
    if (call.error()) {
        served_.refused = call.error()->status == 429 && !call.deployment();
        co_await write(to_answer(*call.error()));
    } else {
        co_await relay(call);
    }
    take_note(call);
    call_ = nullptr;
}

void Session::take_note(const Call& call) {
    served_.group = call.group();
    if (call.deployment()) {
        deployment_id_ = call.deployment()->config().id;
        served_.deployment = deployment_id_;
        served_.upstream = call.upstream_time();
    }
    served_.retries = call.effort().retries;
    served_.fallbacks = call.effort().fallbacks;
    served_.usage = call.usage();
}

/// Logs and counts the present request, once.
void Session::finish_request() {
    if (served_.status == 0) return;
    served_.method = head_.method;
    served_.target = head_.target;
    served_.duration = shm::now() - began_;
    if (!served_.model.empty()) setup_->metrics.count(served_);
    if (service_.log.on()) service_.log.add(served_, unix_now());
    served_ = {};
}

/// Passes the answer on as it comes. Reading waits for writing, so a slow client slows its upstream.
Task<void> Session::relay(Call& call) {
    const router::Exchange& answer = call.answer();
    const std::int64_t length = call.content_length();
    const bool has_body = answer.status() != 204 && answer.status() != 304 && length != 0;
    const bool chunked = has_body && length < 0 && head_.version == 11;
    if (has_body && length < 0 && !chunked) keep_alive_ = false;  // the end of the connection ends it

    TransportError failure = TransportError::none;
    // The head of a short answer waits for its body, to be written in one go.
    if (length > 0 && call.pieces().empty() && !answer.done()) failure = co_await call.next();
    if (failure != TransportError::none) {
        co_return co_await refuse(502, std::string(to_string(failure)) + ".", "upstream");
    }
    HeadWriter head(out_, answer.status());
    relay_fields(answer.fields(), head);
    append_own_fields(head, call);
    if (chunked) head.field("transfer-encoding", "chunked");
    if (length >= 0) head.field("content-length", static_cast<std::uint64_t>(length));
    if (!keep_alive_) head.field("connection", "close");
    head.end();
    answer_begun_ = true;
    served_.status = answer.status();

    bool written = co_await write_pieces(call, chunked);
    while (written && !answer.done()) {
        failure = co_await call.next();
        if (failure != TransportError::none) break;
        written = co_await write_pieces(call, chunked);
    }
    if (!written) call.abort();
    if (written && failure != TransportError::none) co_await break_off(call, failure, chunked);
    if (!written || failure != TransportError::none) keep_alive_ = false;
}

void Session::append_own_fields(HeadWriter& head, const Call& call) {
    const router::DeploymentConfig& deployment = call.deployment()->config();
    head.field("x-request-id", served_.request_id)
        .field("x-litellm-call-id", served_.request_id)
        .field("x-litellm-model-id", deployment.id)
        .field("x-litellm-model-api-base", deployment.api_base)
        .field("x-litellm-model-group", call.group())
        .field("x-litellm-attempted-retries", call.effort().retries)
        .field("x-litellm-attempted-fallbacks", call.effort().fallbacks);
    append_limits(head, setup_->router.participant(), caller_.windows, call.deployment()->scopes(),
                  shm::now());
}

/// Writes what stands in out_, the pieces that have come, and the end if it is there.
Task<bool> Session::write_pieces(Call& call, bool chunked) {
    std::size_t bytes = 0;
    for (const asio::const_buffer& piece : call.pieces()) bytes += piece.size();
    pieces_.clear();
    if (chunked && bytes > 0) fmt::format_to(std::back_inserter(out_), "{:x}\r\n", bytes);
    if (!out_.empty()) pieces_.push_back(asio::buffer(out_));
    pieces_.insert(pieces_.end(), call.pieces().begin(), call.pieces().end());
    static constexpr std::string_view kChunkEnd = "\r\n";
    static constexpr std::string_view kLastChunk = "0\r\n\r\n";
    if (chunked && bytes > 0) pieces_.push_back(asio::buffer(kChunkEnd));
    if (chunked && call.answer().done()) pieces_.push_back(asio::buffer(kLastChunk));
    served_.bytes_out += bytes;
    co_return pieces_.empty() || co_await write_out();
}

/// The upstream has failed in the midst of an answer. A stream of events can still say so.
Task<void> Session::break_off(Call& call, TransportError failure, bool chunked) {
    const std::string_view type = call.answer().fields().get("content-type");
    if (!chunked || type.substr(0, 17) != "text/event-stream") co_return;  // only the cut tells
    router::ApiError error;
    error.status = 502;
    error.type = "api_connection_error";
    error.message = std::string(to_string(failure)) + ".";
    // The upstream may have stopped within a line.
    const std::string event = fmt::format("\n\ndata: {}\n\n", router::to_json(error));
    out_ = fmt::format("{:x}\r\n{}\r\n0\r\n\r\n", event.size(), event);
    pieces_.assign(1, asio::buffer(out_));
    co_await write_out();
}

Task<bool> Session::write_out() {
    connection_.set_deadline(shm::now() + SessionLimits::kWrite);
    const ErrorCode error = co_await connection_.write(pieces_);
    connection_.clear_deadline();
    out_.clear();
    co_return !error;
}

Task<void> Session::write(const PlainAnswer& answer) {
    served_.status = answer.status;
    served_.bytes_out = answer.body.size();
    HeadWriter head(out_, answer.status);
    head.field("content-type", answer.content_type);
    if (!served_.request_id.empty()) {
        head.field("x-request-id", served_.request_id).field("x-litellm-call-id", served_.request_id);
    }
    for (const auto& [name, value] : answer.fields) head.field(name, value);
    head.field("content-length", answer.body.size());
    if (!keep_alive_) head.field("connection", "close");
    head.end();
    if (head_.method != "HEAD") out_ += answer.body;
    pieces_.assign(1, asio::buffer(out_));
    if (!co_await write_out()) keep_alive_ = false;
}

Task<void> Session::refuse(unsigned status, std::string message, std::string param) {
    router::ApiError error;
    error.status = status;
    error.message = std::move(message);
    error.type = status >= 500 ? "api_connection_error" : "invalid_request_error";
    error.param = std::move(param);
    co_await write(to_answer(error));
}

/// After a request that was not read to its end: closing at once would destroy the answer on its
/// way, for what is still unread makes the kernel reset the connection.
Task<void> Session::linger() {
    connection_.finish_writing();
    connection_.set_deadline(shm::now() + std::chrono::seconds(1));
    for (;;) {
        if (co_await connection_.read_some()) break;
        connection_.consume(connection_.unread().size());
    }
}

void Session::client_left(router::Connection::PeerGone how) noexcept {
    if (!call_) return;
    if (how == router::Connection::PeerGone::reset) return call_->abort();
    // It may have closed only its own side and still wait for the answer. Once the answer has begun,
    // writing it tells.
    if (!answer_begun_) grace_.set_deadline(shm::now() + SessionLimits::kHalfClosed);
}

void Session::Grace::on_deadline() noexcept {
    if (session_.call_ && !session_.answer_begun_) session_.call_->abort();
}

}  // namespace weir::proxy
