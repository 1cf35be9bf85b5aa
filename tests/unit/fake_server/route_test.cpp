#include "fake_server/route.hpp"

#include <catch2/catch.hpp>

using namespace weir::fake_server;

TEST_CASE("Model routes are known with and without /v1 and below a deployment") {
    CHECK(route("/chat/completions").route == Route::chat);
    CHECK(route("/v1/chat/completions").route == Route::chat);
    CHECK(route("/engines/gpt-4/chat/completions").route == Route::chat);
    CHECK(route("/engines/gpt-4/chat/completions").deployment == "gpt-4");
    CHECK(route("/openai/deployments/my-gpt/embeddings").route == Route::embeddings);
    CHECK(route("/openai/deployments/my-gpt/embeddings").deployment == "my-gpt");
    CHECK(route("/v1/models").route == Route::models);
    CHECK(route("/v1/models/gpt-4").route == Route::models);
    CHECK(route("/v1/audio/translations").route == Route::transcription);
    CHECK(route("/__ledger").route == Route::ledger);
}

TEST_CASE("Everything else is unknown") {
    for (const char* path : {"", "/", "/v1", "/v1/", "/chat/completions/", "/v2/chat/completions",
                             "/engines//chat/completions", "/engines/gpt-4", "/models/",
                             "/v1/__ledger", "/openai/deployments/"}) {
        INFO(path);
        CHECK(route(path).route == Route::unknown);
    }
}

TEST_CASE("Only questions to a model count") {
    CHECK(asks_model(Route::chat));
    CHECK(asks_model(Route::images));
    CHECK_FALSE(asks_model(Route::models));
    CHECK_FALSE(asks_model(Route::unknown));
    CHECK_FALSE(asks_model(Route::ledger));
}

TEST_CASE("The allow list is read by whole names") {
    CHECK(allows("GET, DELETE", "GET"));
    CHECK(allows("GET, DELETE", "DELETE"));
    CHECK_FALSE(allows("GET, DELETE", "DEL"));
    CHECK_FALSE(allows("GET, DELETE", "POST"));
    CHECK_FALSE(allows("", "GET"));
}
