#include "proxy/route.hpp"

#include <catch2/catch.hpp>

#include <fstream>
#include <sstream>

using namespace weir::proxy;

TEST_CASE("endpoints stand at their place, with and without /v1, and with a query") {
    for (const char* path :
         {"/chat/completions", "/completions", "/embeddings", "/responses", "/moderations",
          "/rerank", "/audio/speech", "/audio/transcriptions", "/audio/translations",
          "/images/generations", "/images/edits", "/images/variations"}) {
        for (const std::string& target :
             {std::string(path), "/v1" + std::string(path), path + std::string("?a=/b")}) {
            CAPTURE(target);
            const Route route = find_route("POST", target);
            CHECK(route.endpoint == Endpoint::forward);
            CHECK(route.upstream_path == path);
            CHECK(route.model.empty());
            CHECK_FALSE(route.queued);
        }
    }
    CHECK(find_route("GET", "/v1/models").endpoint == Endpoint::models);
    CHECK(find_route("GET", "/models").endpoint == Endpoint::models);
    CHECK(find_route("GET", "/v1/model/info").endpoint == Endpoint::model_info);
    CHECK(find_route("GET", "/v2/model/info").endpoint == Endpoint::model_info);
    CHECK(find_route("GET", "/model_group/info").endpoint == Endpoint::model_group_info);
    CHECK(find_route("GET", "/health/liveliness").endpoint == Endpoint::liveliness);
    CHECK(find_route("GET", "/health/liveness").endpoint == Endpoint::liveliness);
    CHECK(find_route("GET", "/health/readiness").endpoint == Endpoint::readiness);
    CHECK(find_route("GET", "/health").endpoint == Endpoint::health);
    CHECK(find_route("GET", "/metrics").endpoint == Endpoint::metrics);
    CHECK(find_route("GET", "/metrics/").endpoint == Endpoint::metrics);
}

TEST_CASE("a target may be a whole URL") {
    CHECK(find_route("GET", "http://host:4000/v1/models").endpoint == Endpoint::models);
    CHECK(find_route("GET", "https://host/v1/models?a=http://b/").endpoint == Endpoint::models);
    CHECK(find_route("POST", "http://host/engines/m/embeddings").model == "m");
    CHECK(find_route("GET", "http://host").endpoint == Endpoint::not_found);
    CHECK(find_route("GET", "http://host?/v1/models").endpoint == Endpoint::not_found);
    CHECK(find_route("GET", "ftp://host/v1/models").endpoint == Endpoint::not_found);
}

TEST_CASE("the path may name the model, slashes and percent signs included") {
    for (const char* place : {"/engines/", "/openai/deployments/", "/v1/engines/"}) {
        const Route route =
            find_route("POST", place + std::string("org/m%20x%2Fy/chat/completions?api-version=1"));
        CHECK(route.endpoint == Endpoint::forward);
        CHECK(route.upstream_path == "/chat/completions");
        CHECK(route.model == "org/m x/y");
    }
    CHECK(find_route("POST", "/engines/m/completions").upstream_path == "/completions");
    CHECK(find_route("POST", "/engines/m/embeddings").upstream_path == "/embeddings");
    CHECK(find_route("POST", "/engines/m%2/embeddings").endpoint == Endpoint::not_found);
    CHECK(find_route("POST", "/engines/m%zz/embeddings").endpoint == Endpoint::not_found);
    CHECK(find_route("POST", "/engines/m").endpoint == Endpoint::not_found);
    CHECK(find_route("POST", "/engines//embeddings").endpoint == Endpoint::not_found);
    const Route model = find_route("GET", "/v1/models/org/m");
    CHECK(model.endpoint == Endpoint::model);
    CHECK(model.model == "org/m");
}

TEST_CASE("everything that is passed on may have its model in the path") {
    for (const char* path :
         {"/chat/completions", "/completions", "/embeddings", "/responses", "/moderations", "/rerank",
          "/audio/speech", "/audio/transcriptions", "/audio/translations", "/images/generations",
          "/images/edits", "/images/variations"}) {
        CAPTURE(path);
        const Route route = find_route("POST", std::string("/openai/deployments/my-model") + path);
        CHECK(route.endpoint == Endpoint::forward);
        CHECK(route.upstream_path == path);
        CHECK(route.model == "my-model");
    }
    CHECK(find_route("POST", "/openai/deployments/m/models").endpoint == Endpoint::not_found);
    CHECK(find_route("POST", "/v2/rerank").upstream_path == "/rerank");
    CHECK(find_route("POST", "/v2/embeddings").endpoint == Endpoint::not_found);
}

TEST_CASE("what LiteLLM serves and Weir does not is told, and documented") {
    for (const char* target :
         {"/v1/responses/resp_1", "/v1/responses/resp_1/cancel", "/files", "/v1/files/f/content",
          "/v1/batches?a=b", "/v1/messages", "/messages/count_tokens", "/key/generate", "/team/new",
          "/v1/realtime", "/model/new", "/health/services", "/utils/token_counter", "/global/spend/logs"}) {
        for (const char* method : {"GET", "POST", "DELETE"}) {
            CAPTURE(target, method);
            const Route route = find_route(method, target);
            CHECK(route.endpoint == Endpoint::unserved);
            CHECK_FALSE(route.why.empty());
        }
    }
    CHECK(find_route("POST", "/v1/responses").endpoint == Endpoint::forward);
    std::ifstream in(std::string(WEIR_DOCS) + "/litellm.md");
    std::ostringstream text;
    text << in.rdbuf();
    for (const Unserved& unserved : unserved_endpoints()) {
        CAPTURE(unserved.begins);
        CHECK(text.str().find("`" + std::string(unserved.begins) + "`") != std::string::npos);
    }
}

TEST_CASE("requests at the queue wait") {
    const Route route = find_route("POST", "/queue/chat/completions");
    CHECK(route.endpoint == Endpoint::forward);
    CHECK(route.upstream_path == "/chat/completions");
    CHECK(route.queued);
    CHECK(find_route("GET", "/queue/chat/completions").endpoint == Endpoint::method_not_allowed);
}

TEST_CASE("what is not there is not found, and a wrong method is told the right one") {
    for (const char* target :
         {"", "/", "/v1", "/v1/", "*", "/chat", "/models/", "/chat/completions/x", "/v3/models"}) {
        CAPTURE(target);
        CHECK(find_route("GET", target).endpoint == Endpoint::not_found);
    }
    CHECK(find_route("GET", "/v1/chat/completions").allow == "POST");
    CHECK(find_route("POST", "/v1/models").allow == "GET");
    CHECK(find_route("get", "/v1/models").endpoint == Endpoint::method_not_allowed);
    CHECK(find_route("HEAD", "/v1/models").endpoint == Endpoint::models);
    CHECK(find_route("HEAD", "/v1/embeddings").endpoint == Endpoint::method_not_allowed);
}

TEST_CASE("only what tells nothing is open to those without a key") {
    CHECK(is_open(Endpoint::liveliness));
    CHECK(is_open(Endpoint::readiness));
    CHECK(is_open(Endpoint::metrics));
    CHECK(is_open(Endpoint::not_found));
    CHECK(is_open(Endpoint::unserved));
    for (const Endpoint endpoint :
         {Endpoint::forward, Endpoint::models, Endpoint::model, Endpoint::model_info,
          Endpoint::model_group_info, Endpoint::health}) {
        CHECK_FALSE(is_open(endpoint));
    }
}
