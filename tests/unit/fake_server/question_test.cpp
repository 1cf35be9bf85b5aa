#include "fake_server/question.hpp"

#include <catch2/catch.hpp>

using namespace weir::fake_server;

namespace {

Question read(const std::string& body, const std::string& step = {}) {
    Request request;
    request.body = body;
    if (!step.empty()) request.add_field("X-Fake", step);
    QuestionReader reader;
    Question question;
    reader.read(request, question);
    return question;
}

}  // namespace

TEST_CASE("Model, stream and usage are read from JSON") {
    const Question question = read(
        R"({"model":"gpt","messages":[],"stream":true,"stream_options":{"include_usage":true}})");
    CHECK(question.model == "gpt");
    CHECK(question.stream);
    CHECK(question.include_usage);
    CHECK(question.override_step.empty());
}

TEST_CASE("Only members of the outermost object count, and only of the right type") {
    const Question question = read(
        R"({"messages":[{"model":"inner","stream":true}],"model":7,"stream":"yes","stream_options":1})");
    CHECK(question.model.empty());
    CHECK_FALSE(question.stream);
    CHECK_FALSE(question.include_usage);
}

TEST_CASE("A body that is no JSON object is a question without a model") {
    for (const char* body : {"", "{", "[]", "7", "nonsense", "{\"model\":\"a\"", "\xff\xfe"}) {
        INFO(body);
        CHECK(read(body).model.empty());
    }
}

TEST_CASE("A step may come in the metadata, as an object or as text, and in a header") {
    CHECK(read(R"({"metadata":{"fake":{"status":500}}})").override_step == R"({"status":500})");
    CHECK(read(R"({"metadata":{"fake":"{\"status\":500}"}})").override_step == R"({"status":500})");
    CHECK(read(R"({"metadata":{"fake":{"status":500}}})", "{}").override_step == "{}");
    CHECK(read("{}", R"({"echo":true})").override_step == R"({"echo":true})");
}

TEST_CASE("A reader forgets the body before") {
    QuestionReader reader;
    Question question;
    Request request;
    request.body = R"({"model":"gpt","stream":true,"metadata":{"fake":{}}})";
    reader.read(request, question);
    request.body = "{}";
    reader.read(request, question);
    CHECK(question.model.empty());
    CHECK_FALSE(question.stream);
    CHECK(question.override_step.empty());
}

TEST_CASE("The model of a multipart body") {
    const std::string body =
        "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n\x01\x02\r\n"
        "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n--b--\r\n";
    CHECK(read(body).model == "whisper-1");
    CHECK(form_value(body, "language").empty());
    CHECK(form_value("--b\r\nname=\"model\"", "model").empty());
    CHECK(form_value("--b\r\nname=\"model\"\r\n\r\nunfinished", "model").empty());
}
