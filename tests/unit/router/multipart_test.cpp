#include "router/multipart.hpp"

#include <catch2/catch.hpp>

#include <initializer_list>
#include <random>
#include <string>

using namespace weir::router;

namespace {

constexpr std::string_view kType = "multipart/form-data; boundary=\"xYz\"";

std::string part(const std::string& name, const std::string& content) {
    return "--xYz\r\nContent-Disposition: form-data; name=\"" + name + "\"\r\n\r\n" + content +
           "\r\n";
}

std::string form(std::initializer_list<std::string> parts) {
    std::string body;
    for (const auto& p : parts) body += p;
    return body + "--xYz--\r\n";
}

const std::string kFile =
    "--xYz\r\nContent-Disposition: form-data; name=\"file\"; "
    "filename=\"a;name=model.wav\"\r\nContent-Type: "
    "audio/wav\r\n\r\n" +
    std::string("RIFF\0\r\n--xY\r\n\r\nmodel", 20) + "\r\n";

RequestFacts facts_of(const std::string& body, ModelIn where = ModelIn::body) {
    auto read = read_form(body, kType, where);
    if (const auto* bad = std::get_if<BadRequest>(&read)) FAIL(bad->message);
    return std::get<RequestFacts>(read);
}

std::string refused(const std::string& body, std::string_view type = kType) {
    const auto read = read_form(body, type);
    if (std::holds_alternative<RequestFacts>(read)) return "accepted";
    return std::string(std::get<BadRequest>(read).param);
}

std::string spliced(const std::string& body, ModelIn where = ModelIn::body) {
    return splice_form(body, *facts_of(body, where).form, "new").joined();
}

}  // namespace

TEST_CASE("the model of a form is found and replaced, all else stays") {
    const auto body =
        form({kFile, part("model", "whisper-1"), part("prompt", "hello"), part("user", "ann")});
    const auto facts = facts_of(body);
    CHECK(facts.model == "whisper-1");
    CHECK(facts.prompt_bytes == 5);
    CHECK(facts.user == "ann");
    CHECK(facts.n == 1);
    CHECK_FALSE(facts.stream);
    CHECK(spliced(body) ==
          form({kFile, part("model", "new"), part("prompt", "hello"), part("user", "ann")}));
    CHECK(facts_of(body).form->content_type == "multipart/form-data; boundary=xYz");
    CHECK(facts_of(form({part("model", "m"), part("n", "3"), part("stream", "True")})).n == 3);
    CHECK(facts_of(form({part("model", "m"), part("stream", "True")})).stream);
}

TEST_CASE("a model named by the path is added as the first part") {
    CHECK(spliced(form({kFile}), ModelIn::path) == form({part("model", "new"), kFile}));
    CHECK(spliced(form({}), ModelIn::path) == form({part("model", "new")}));
    CHECK(refused(form({kFile})) == "model");
}

TEST_CASE("fields for the router are left out wherever they stand") {
    const auto clean = form({kFile, part("model", "new"), part("a", "b")});
    const auto p = part("priority", "7");
    const auto t = part("timeout", "2.5");
    const auto m = part("model", "m");
    const auto a = part("a", "b");
    for (const auto& body :
         {form({p, kFile, m, a, t}), form({kFile, p, t, m, a}), form({kFile, m, p, a, t}),
          form({kFile, m, a, p, t}), form({p, t, kFile, m, a})}) {
        CHECK(spliced(body) == clean);
        CHECK(facts_of(body).priority == 7);
        CHECK(facts_of(body).timeout_seconds == 2.5);
    }
    CHECK(facts_of(form({m, part("priority", "1000")})).priority == 255);
    CHECK(facts_of(form({m, part("max_wait_seconds", "3"), part("num_retries", "1")}))
              .max_wait_seconds == 3.0);
    CHECK(refused(form({m, part("priority", "high")})) == "priority");
    CHECK(refused(form({m, p, p})) == "priority");
    CHECK(refused(form({m, part("timeout", "1,\"priority\":2")})) == "timeout");
}

TEST_CASE("what a form tells the router means what it means in JSON") {
    const auto m = part("model", "m");
    const auto numbers =
        facts_of(form({part("request_timeout", "9"), m, part("stream_timeout", "1.5"),
                       part("max_fallbacks", "2"), part("disable_fallbacks", "True"),
                       part("cache", "{\"no-cache\":true}"), part("drop_params", "x")}));
    CHECK(numbers.timeout_seconds == 9.0);
    CHECK(numbers.stream_timeout_seconds == 1.5);
    CHECK(numbers.own_fallbacks->max_fallbacks == 2u);
    CHECK(numbers.own_fallbacks->disabled);

    using Names = std::vector<std::string>;
    const auto elements =
        form({part("tags[]", "a"), m, part("tags[]", "[b]"), part("fallbacks[]", "x"),
              part("metadata", R"({"tags":["c"],"k":1})"), part("timestamps[]", "word")});
    CHECK(facts_of(elements).tags == Names{"c", "a", "[b]"});
    CHECK(facts_of(elements).own_fallbacks->anyhow == Names{"x"});
    CHECK(spliced(elements) ==
          form({part("model", "new"), part("metadata", R"({"tags":["c"],"k":1})"),
                part("timestamps[]", "word")}));
    const auto lists = form({part("tags", R"(["a","b"])"), part("fallbacks", R"([{"m":["x"]}])"), m,
                             part("litellm_metadata", R"({"tags":["c"]})")});
    CHECK(facts_of(lists).tags == Names{"a", "b", "c"});
    CHECK(facts_of(lists).own_fallbacks->fallbacks == FallbackLists{{"m", {"x"}}});
    CHECK(spliced(lists) == form({part("model", "new")}));

    CHECK(refused(form({m, part("tags", "a")})) == "tags");
    CHECK(refused(form({m, part("tags", "[\"a\"]"), part("tags[]", "b")})) == "tags");
    CHECK(refused(form({m, part("fallbacks", "[\"a\"],[\"b\"]")})) == "fallbacks");
    CHECK(refused(form({m, part("tags[]", "\xff")})) == "tags");
    CHECK(refused(form({m, part("mock_response", "hi")})) == "mock_response");
    CHECK(refused(form({m, part("metadata", "anything")})) == "accepted");
}

TEST_CASE("any number of parts for the router can be left out") {
    std::string between;
    std::string left;
    for (std::size_t i = 0; i < kTagsMax; ++i) {
        between += part("tags[]", "a") + part("other", "b");
        left += part("other", "b");
    }
    CHECK(facts_of(form({between, part("model", "m")})).tags.size() == kTagsMax);
    CHECK(spliced(form({between, kFile}), ModelIn::path) ==
          form({part("model", "new"), left, kFile}));
    CHECK(refused(form({between, part("tags[]", "a"), part("model", "m")})) == "tags");
}

TEST_CASE("a part that some parser takes for a field is that field or refused") {
    const auto m = part("model", "m");
    for (const char* name : {"Model", "MODEL", "model[]", "model[0]", "model[a][b]", "Model[]"}) {
        INFO(name);
        CHECK(refused(form({m, part(name, "large")})) == "model");
    }
    CHECK(refused(form({m, part("Stream", "true")})) == "stream");
    CHECK(refused(form({m, part("user[]", "ann")})) == "user");
    CHECK(refused(form({m, part("tags[0]", "a")})) == "tags");
    CHECK(refused(form({m, part("models", "a"), part("timestamp_granularities[]", "word")})) ==
          "accepted");
    CHECK(refused(form({"--xYz\r\nContent-Disposition: form-data; name=\"model\"; "
                        "filename=\"x\"\r\n\r\nm\r\n"})) == "model");
}

TEST_CASE("a name of a model is printable UTF-8") {
    for (const char* name : {"a\r\nb", "a\tb", "a\x7f", "\xff", "a\xc2\x85"}) {
        CHECK(refused(form({part("model", name)})) == "model");
    }
    CHECK(refused(form({part("model", std::string("a\0b", 3))})) == "model");
    CHECK(refused(form({part("model", "mod\xc3\xa8le")})) == "accepted");
}

TEST_CASE("a model that two parsers may read differently is refused") {
    CHECK(refused(form({part("model", "a"), part("model", "b")})) == "model");
    CHECK(refused(form({part("model", "")})) == "model");
    CHECK(refused(form({part("mod\\\"el", "a")})) == "request_body");
    CHECK(refused(
              "--xYz\r\nContent-Disposition: form-data; name=model; name=x\r\n\r\na\r\n--xYz--") ==
          "request_body");
    CHECK(refused("--xYz\r\nContent-Disposition: form-data; name=a\r\nContent-Disposition: "
                  "form-data; name=model"
                  "\r\n\r\na\r\n--xYz--") == "request_body");
    CHECK(refused("--xYz\r\nX: y\r\n\r\na\r\n--xYz--") == "request_body");
    CHECK(
        facts_of("--xYz\r\nContent-Disposition: form-data; name=model\r\n\r\na\r\n--xYz--").model ==
        "a");
}

TEST_CASE("content types") {
    CHECK(is_form("multipart/form-data; boundary=x"));
    CHECK(is_form("Multipart/Form-Data ;boundary=x"));
    CHECK_FALSE(is_form("application/json"));
    CHECK_FALSE(is_form(""));
    const auto body = form({part("model", "m")});
    CHECK(refused(body, "multipart/form-data") == "request_body");
    CHECK(refused(body, "multipart/form-data; boundary=") == "request_body");
    CHECK(refused(body, "multipart/form-data; boundary=other") == "request_body");
    CHECK(refused(body, "multipart/form-data; boundary=" + std::string(71, 'x')) == "request_body");
    CHECK(refused(body, "multipart/form-data; charset=utf-8; BOUNDARY=xYz") == "accepted");
}

TEST_CASE("cut and damaged forms are refused or harmless") {
    const auto body =
        form({kFile, part("model", "whisper-1"), part("priority", "3"), part("prompt", "hello")});
    for (std::size_t size = 0; size + 4 < body.size(); ++size)
        CHECK(refused(body.substr(0, size)) != "accepted");
    std::mt19937_64 random(2);
    std::size_t accepted = 0;
    for (int round = 0; round < 20'000; ++round) {
        std::string damaged = body;
        for (auto changes = 1 + random() % 4; changes > 0; --changes) {
            constexpr std::string_view likely = "\r\n-;=\":xYz m\\";
            const auto at = random() % damaged.size();
            if (random() % 2 == 0)
                damaged[at] = likely[random() % likely.size()];
            else
                damaged.erase(at, 1 + random() % 5);
        }
        const auto read = read_form(damaged, kType);
        const auto* const facts = std::get_if<RequestFacts>(&read);
        if (facts == nullptr) continue;
        ++accepted;
        const auto sent = splice_form(damaged, *facts->form, "new").joined();
        const auto again = read_form(sent, facts->form->content_type);
        REQUIRE(std::holds_alternative<RequestFacts>(again));
        CHECK(std::get<RequestFacts>(again).model == "new");
        // What goes upstream reads the same everywhere: to write it once more changes nothing.
        CHECK(splice_form(sent, *std::get<RequestFacts>(again).form, "new").joined() == sent);
    }
    CHECK(accepted > 1'000);
}
