#include "router/outcome.hpp"

#include <catch2/catch.hpp>

#include <string>

using namespace weir::router;

TEST_CASE("statuses fall into LiteLLM's classes") {
    struct Case {
        unsigned status;
        Kind kind;
        Source source;
        Retry retry;
    };
    const auto test = GENERATE(values<Case>({
        {200, Kind::ok, Source::none, Retry::no},
        {204, Kind::ok, Source::none, Retry::no},
        {304, Kind::ok, Source::none, Retry::no},
        {400, Kind::bad_request, Source::client, Retry::no},
        {401, Kind::auth, Source::upstream, Retry::elsewhere},
        {403, Kind::auth, Source::upstream, Retry::elsewhere},
        {404, Kind::not_found, Source::client, Retry::no},
        {405, Kind::bad_request, Source::client, Retry::no},
        {408, Kind::timeout, Source::upstream, Retry::anywhere},
        {409, Kind::conflict, Source::upstream, Retry::anywhere},
        {413, Kind::bad_request, Source::client, Retry::no},
        {422, Kind::bad_request, Source::client, Retry::no},
        {429, Kind::rate_limited, Source::upstream, Retry::anywhere},
        {500, Kind::server_error, Source::upstream, Retry::anywhere},
        {503, Kind::server_error, Source::upstream, Retry::anywhere},
        {504, Kind::timeout, Source::upstream, Retry::anywhere},
        {529, Kind::server_error, Source::upstream, Retry::anywhere},
        {0, Kind::server_error, Source::upstream, Retry::anywhere},
        {199, Kind::server_error, Source::upstream, Retry::anywhere},
        {999, Kind::server_error, Source::upstream, Retry::anywhere},
    }));
    CAPTURE(test.status);
    const auto outcome = classify(test.status, "");
    CHECK(outcome.kind == test.kind);
    CHECK(outcome.source == test.source);
    CHECK(outcome.retry == test.retry);
    CHECK(outcome.counted);
    CHECK(outcome.ok() == (test.kind == Kind::ok));
}

TEST_CASE("the body of a 400 says whether the prompt was too long or filtered") {
    const auto kind = [](unsigned status, std::string_view body) {
        return classify(status, body).kind;
    };
    CHECK(kind(400, R"({"error":{"message":"This model's maximum context length is 4097 tokens.",)"
                    R"("code":"context_length_exceeded"}})") == Kind::context_window);
    CHECK(kind(400, "Prompt is too long: 210000 tokens") == Kind::context_window);
    CHECK(kind(413, "input is TOO LONG for requested model") == Kind::context_window);
    CHECK(
        kind(
            400,
            R"({"error":{"code":"content_filter","innererror":{"code":"ResponsibleAIPolicyViolation"}}})") ==
        Kind::content_policy);
    CHECK(kind(400, R"({"error":{"code":"content_policy_violation"}})") == Kind::content_policy);
    CHECK(kind(403, R"({"error":{"message":"Your input was flagged"}})") == Kind::content_policy);
    CHECK(kind(403, R"({"error":{"message":"Country not supported"}})") == Kind::auth);
    CHECK(kind(400, R"({"error":{"message":"bad temperature"}})") == Kind::bad_request);
    // Only in the classes where it makes sense.
    CHECK(kind(429, "context_length_exceeded") == Kind::rate_limited);
    CHECK(kind(500, "content_filter") == Kind::server_error);
    CHECK(kind(200, "content_filter") == Kind::ok);
    CHECK(kind(400, std::string(10'000, ' ') + "content_filter") == Kind::bad_request);
    CHECK(classify(400, "context_length_exceeded").retry == Retry::no);
    CHECK(classify(400, "context_length_exceeded").source == Source::client);
}

TEST_CASE("a 404 is the deployment's fault if it is about the model") {
    const auto source = [](std::string_view body) { return classify(404, body).source; };
    CHECK(source(R"({"error":{"message":"The model `gpt-9` does not exist","code":"model_not_found"}})") ==
          Source::upstream);
    CHECK(source(R"({"error":{"code":"DeploymentNotFound"}})") == Source::upstream);
    CHECK(source(R"({"detail":"Not Found"})") == Source::client);
    CHECK(source("Invalid URL (POST /v1/moderations)") == Source::client);
}

TEST_CASE("failures of the connection") {
    for (const auto error : {TransportError::resolve, TransportError::connect, TransportError::tls,
                             TransportError::connect_timeout}) {
        const auto outcome = classify(error);
        CHECK(outcome.kind == Kind::connection);
        CHECK_FALSE(outcome.counted);
        CHECK(outcome.retry == Retry::anywhere);
        CHECK(outcome.source == Source::connection);
    }
    CHECK(classify(TransportError::closed).kind == Kind::connection);
    CHECK(classify(TransportError::closed).counted);
    CHECK(classify(TransportError::first_byte_timeout).kind == Kind::timeout);
    CHECK(classify(TransportError::stalled).kind == Kind::timeout);
    CHECK(classify(TransportError::broken).kind == Kind::server_error);
    CHECK(classify(TransportError::malformed).kind == Kind::server_error);
    CHECK(classify(TransportError::none).ok());
}

TEST_CASE("what our own limits bring about is not the upstream's failure") {
    const auto full = classify(TransportError::pool_full);
    CHECK(full.kind == Kind::overloaded);
    CHECK(full.retry == Retry::elsewhere);
    CHECK_FALSE(full.counted);
    CHECK_FALSE(full.tells());
    const auto overran = classify(TransportError::overran);
    CHECK(overran.kind == Kind::timeout);
    CHECK(overran.counted);
    CHECK_FALSE(overran.tells());
    CHECK(classify(TransportError::stalled).tells());
    CHECK(classify(500, "").tells());
    CHECK_FALSE(classify(400, "").tells());
}

TEST_CASE("clients are told LiteLLM's statuses") {
    CHECK(client_status(Kind::timeout, 0) == 408);
    CHECK(client_status(Kind::connection, 0) == 500);
    CHECK(client_status(Kind::overloaded, 0) == 503);
    CHECK(client_status(Kind::server_error, 503) == 503);
    CHECK(client_status(Kind::rate_limited, 429) == 429);
    CHECK(client_status(Kind::context_window, 0) == 400);
    for (int i = 0; i <= static_cast<int>(Kind::connection); ++i) {
        const auto kind = static_cast<Kind>(i);
        CHECK(to_string(kind) != "?");
        CHECK(error_type(kind).empty() == (kind == Kind::ok));
    }
}

TEST_CASE("an answer that broke off is a 408 if it took too long, else a 502") {
    for (const auto late : {TransportError::stalled, TransportError::overran}) {
        CHECK(broken_off(late).status == 408);
        CHECK(broken_off(late).type == "timeout_error");
    }
    CHECK(broken_off(TransportError::broken).status == 502);
    CHECK(broken_off(TransportError::malformed).type == "api_connection_error");
}
