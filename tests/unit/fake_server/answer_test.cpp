#include "fake_server/answer.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

using namespace weir::fake_server;
using Json = nlohmann::json;

namespace {

Answer answer_to(Route route, const Question& question, const Step& step = {}) {
    Answer answer;
    answer_question(route, question, {9, 12}, step, answer);
    return answer;
}

std::vector<Json> data_of(const Answer& answer) {
    std::vector<Json> data;
    for (const std::string& event : answer.events) {
        REQUIRE(event.ends_with("\n\n"));
        const std::size_t begin = event.find("data: ") + 6;
        data.push_back(Json::parse(event.substr(begin), nullptr, false));
    }
    return data;
}

}  // namespace

TEST_CASE("A chat answer is the Python fake server's, byte for byte") {
    CHECK(answer_to(Route::chat, {}).body ==
          R"({"id":"chatcmpl-123","object":"chat.completion","created":1677652288,"model":null,)"
          R"("system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,"message":{)"
          R"("role":"assistant","content":"\n\nHello there, how may I assist you today?"},)"
          R"("logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":9,)"
          R"("completion_tokens":12,"total_tokens":21}})");
}

TEST_CASE("Tokens, content and the absence of usage as the script has it") {
    Step step;
    step.tokens = Tokens{3, 4};
    step.content = "say \"hi\"";
    Json json = Json::parse(answer_to(Route::chat, {}, step).body);
    CHECK(json["usage"]["total_tokens"] == 7);
    CHECK(json["choices"][0]["message"]["content"] == "say \"hi\"");
    step.no_usage = true;
    CHECK_FALSE(Json::parse(answer_to(Route::chat, {}, step).body).contains("usage"));
}

TEST_CASE("A stream has one event per completion token and ends with DONE") {
    Question question;
    question.stream = true;
    const Answer answer = answer_to(Route::chat, question);
    CHECK(answer.stream);
    CHECK(answer.content_type == "text/event-stream; charset=utf-8");
    REQUIRE(answer.events.size() == 1 + 12 + 1 + 1);
    CHECK(answer.events.back() == "data: [DONE]\n\n");
    const auto data = data_of(answer);
    CHECK(data[0]["choices"][0]["delta"]["role"] == "assistant");
    CHECK(data[1]["choices"][0]["delta"]["content"] == "\n\nHello");
    CHECK(data[2]["choices"][0]["delta"]["content"] == " there,");
    CHECK(data[13]["choices"][0]["finish_reason"] == "stop");
    for (const std::string& event : answer.events) {
        CHECK(event.find("usage") == std::string::npos);
    }
}

TEST_CASE("A stream tells its usage last, only when asked to") {
    Question question;
    question.stream = question.include_usage = true;
    for (const Route route : {Route::chat, Route::completions}) {
        const Answer answer = answer_to(route, question);
        const auto data = data_of(answer);
        const Json& last = data.at(data.size() - 2);
        CHECK(last["usage"]["total_tokens"] == 21);
        CHECK(last["choices"].empty());
        CHECK(data[1].at("usage").is_null());
    }
    Step step;
    step.no_usage = true;
    for (const std::string& event : answer_to(Route::chat, question, step).events) {
        CHECK(event.find("usage") == std::string::npos);
    }
}

TEST_CASE("A stream's events are bounded, its stated usage is not") {
    Question question;
    question.stream = question.include_usage = true;
    Step step;
    step.tokens = Tokens{1, 1'000'000};
    step.content = "";
    const Answer answer = answer_to(Route::chat, question, step);
    CHECK(answer.events.size() == kContentEventsMax + 4);
    CHECK(data_of(answer).at(answer.events.size() - 2)["usage"]["completion_tokens"] == 1'000'000);
}

TEST_CASE("Every other model route answers in its own shape") {
    Question question;
    question.model = "m";
    const auto json = [&](Route route) { return Json::parse(answer_to(route, question).body); };
    CHECK(json(Route::completions)["object"] == "text_completion");
    CHECK(json(Route::embeddings)["data"][0]["embedding"].size() == 3);
    CHECK(json(Route::embeddings)["usage"] ==
          Json::parse(R"({"prompt_tokens":9,"total_tokens":9})"));
    CHECK(json(Route::responses)["usage"]["input_tokens"] == 9);
    CHECK(json(Route::responses)["output"][0]["content"][0]["type"] == "output_text");
    CHECK(json(Route::moderations)["results"][0]["flagged"] == false);
    CHECK(json(Route::transcription).contains("text"));
    CHECK(json(Route::images)["data"][0].contains("b64_json"));
    const Answer speech = answer_to(Route::speech, question);
    CHECK(speech.content_type == "audio/mpeg");
    CHECK(speech.body.size() == 1024);
    CHECK(speech.body[255] == '\xff');
}

TEST_CASE("A streamed response ends with its usage") {
    Question question;
    question.stream = true;
    const auto data = data_of(answer_to(Route::responses, question));
    CHECK(data.front()["type"] == "response.created");
    CHECK(data.back()["type"] == "response.completed");
    CHECK(data.back()["response"]["usage"]["output_tokens"] == 12);
}

TEST_CASE("What arrived is described without loss") {
    Request request;
    request.method = "POST";
    request.target = "/x?y";
    request.add_field("A", "1");
    request.add_field("a", "2");
    request.body = "{\"k\": 1.0}";
    Json json = Json::parse(describe(request));
    CHECK(json["headers"] == Json::parse(R"([["A","1"],["a","2"]])"));
    CHECK(json["body"] == request.body);
    CHECK(json["target"] == "/x?y");
    request.body = std::string("\xff\x00\x01", 3);
    json = Json::parse(describe(request));
    CHECK(json["body"].is_null());
    CHECK(json["body_bytes"] == 3);
    CHECK(json["body_base64"] == "/wAB");
    const std::pair<const char*, const char*> padded[] = {
        {"", ""}, {"a", "YQ=="}, {"ab", "YWI="}, {"abc", "YWJj"}, {"abcd", "YWJjZA=="}};
    for (const auto& [bytes, text] : padded) {
        request.body = bytes;
        CHECK(Json::parse(describe(request))["body_base64"] == text);
    }
}
