#include "router/request.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <random>
#include <string>

#include "router/json_text.hpp"
#include "router/request_field.hpp"
#include "router/spliced_body.hpp"

using namespace weir::router;
using nlohmann::json;

namespace {

RequestFacts facts_of(std::string_view body, ModelIn where = ModelIn::body) {
    auto read = read_request(body, where);
    if (const auto* bad = std::get_if<BadRequest>(&read)) FAIL(body << " -> " << bad->message);
    return std::get<RequestFacts>(read);
}

BadRequest refused(std::string_view body, ModelIn where = ModelIn::body) {
    auto read = read_request(body, where);
    if (std::holds_alternative<RequestFacts>(read)) FAIL(body << " was accepted");
    return std::get<BadRequest>(read);
}

std::string spliced(std::string_view body, bool ask_usage = false, ModelIn where = ModelIn::body) {
    return splice(body, facts_of(body, where), "\"new\"", ask_usage).joined();
}

}  // namespace

TEST_CASE("a chat request is understood") {
    const std::string body =
        R"({"model": "gpt-4o", "messages": [{"role":"user","content":"Hello you"}], "max_tokens": 12,)"
        R"( "stream": true, "n": 3, "user": "ann", "temperature": 0.10})";
    const auto facts = facts_of(body);
    CHECK(facts.model == "gpt-4o");
    CHECK(body.substr(facts.model_value.begin, facts.model_value.end - facts.model_value.begin) ==
          "\"gpt-4o\"");
    CHECK(facts.stream);
    CHECK_FALSE(facts.include_usage);
    CHECK_FALSE(facts.has_stream_options);
    CHECK(facts.max_tokens == 12u);
    CHECK(facts.n == 3);
    CHECK(facts.user == "ann");
    CHECK(facts.prompt_bytes == 4 + 9);
    CHECK(facts.has_messages);
    CHECK_FALSE(facts.priority.has_value());
}

TEST_CASE("what is absent or null has its default") {
    for (const auto* body :
         {R"({"model":"m"})",
          R"({"model":"m","stream":null,"stream_options":null,"max_tokens":null,"n":null,)"
          R"("user":null,"priority":null,"timeout":null,"num_retries":null})"}) {
        const auto facts = facts_of(body);
        CHECK_FALSE(facts.stream);
        CHECK_FALSE(facts.has_stream_options);
        CHECK_FALSE(facts.max_tokens.has_value());
        CHECK(facts.n == 1);
        CHECK(facts.user.empty());
        CHECK_FALSE(facts.priority.has_value());
        CHECK_FALSE(facts.timeout_seconds.has_value());
        CHECK_FALSE(facts.num_retries.has_value());
        CHECK_FALSE(facts.has_messages);
        CHECK(facts.prompt_bytes == 0);
    }
}

TEST_CASE("the largest of the names for max tokens counts") {
    CHECK(facts_of(R"({"model":"m","max_completion_tokens":7})").max_tokens == 7u);
    CHECK(facts_of(R"({"model":"m","max_output_tokens":8})").max_tokens == 8u);
    CHECK(facts_of(R"({"model":"m","max_tokens":9,"max_completion_tokens":7})").max_tokens == 9u);
    CHECK(facts_of(R"({"model":"m","n":2,"best_of":5})").n == 5);
}

TEST_CASE("prompt bytes count text, not addresses, and estimate media") {
    const auto bytes = [](std::string_view member) {
        return facts_of(R"({"model":"m",)" + std::string(member) + "}").prompt_bytes;
    };
    CHECK(bytes(R"("prompt":"12345")") == 5);
    CHECK(bytes(R"("prompt":["12345","678"])") == 8);
    CHECK(bytes(R"("prompt":[1,22,333])") == 12);
    CHECK(bytes(R"("input":["ab","c"])") == 3);
    CHECK(bytes(R"("prompt":"a\nb\"c")") == 5);
    CHECK(bytes(R"("prompt":"\u00e9")") == 3);
    CHECK(bytes(R"("system":"abc","instructions":"de")") == 5);
    CHECK(bytes(R"("other":"abc")") == 0);
    CHECK(bytes(R"("tools":[{"name":"f"}])") == 5);
    const std::string image = "data:image/png;base64," + std::string(100'000, 'A');
    CHECK(bytes(R"("messages":[{"content":[{"image_url":{"url":")" + image +
                R"("}},{"text":"hi"}]}])") == kMediaPartBytes + 2);
}

TEST_CASE("a body that is not a JSON object is refused") {
    for (const auto* body : {"",
                             " ",
                             "[]",
                             "1",
                             "null",
                             "\"model\"",
                             "{",
                             "}",
                             "{\"model\"",
                             "{\"model\":",
                             "{\"model\":}",
                             "{\"model\":\"m\"",
                             "{\"model\":\"m\",}",
                             "{\"model\":\"m\"}}",
                             "{\"model\":\"m\"} x",
                             "{'model':'m'}",
                             "{\"model\":\"m\" \"n\":1}",
                             "{\"model\":\"m\",\"x\":tru}",
                             "{\"model\":\"m\",\"x\":01}",
                             "{\"model\":\"m\",\"x\":1.}",
                             "{\"model\":\"m\",\"x\":[1 2]}",
                             "{\"model\":\"m\",\"x\":[1,]}",
                             "{\"model\":\"m\",\"x\":\"\\q\"}",
                             "{\"model\":\"m\",\"x\":\"\\u12g4\"}",
                             "{\"model\":\"m\",\"x\":\"\xff\"}",
                             "{\"model\":\"m\",\"x\":\"a\nb\"}",
                             "{\"model\":\"m\",\"x\":{]}}",
                             "{\"model\":\"m\",\"messages\":[}",
                             "{\"model\":\"m\",1:2}"}) {
        const auto bad = refused(body);
        CHECK(bad.param == "request_body");
        CHECK_FALSE(bad.message.empty());
    }
}

TEST_CASE("a field at fault is named") {
    const auto param = [](std::string_view body) { return std::string(refused(body).param); };
    CHECK(param("{}") == "model");
    CHECK(param(R"({"messages":[]})") == "model");
    CHECK(param(R"({"model":null})") == "model");
    CHECK(param(R"({"model":5})") == "model");
    CHECK(param(R"({"model":""})") == "model");
    CHECK(param(R"({"model":{"a":1}})") == "model");
    CHECK(param(R"({"model":"m","stream":"yes"})") == "stream");
    CHECK(param(R"({"model":"m","stream":1})") == "stream");
    CHECK(param(R"({"model":"m","stream_options":[]})") == "stream_options");
    CHECK(param(R"({"model":"m","stream_options":{"include_usage":1}})") == "stream_options");
    CHECK(param(R"({"model":"m","max_tokens":-1})") == "max_tokens");
    CHECK(param(R"({"model":"m","max_tokens":1.5})") == "max_tokens");
    CHECK(param(R"({"model":"m","max_tokens":1e400})") == "max_tokens");
    CHECK(param(R"({"model":"m","max_tokens":99999999999999999999})") == "max_tokens");
    CHECK(param(R"({"model":"m","n":"2"})") == "n");
    CHECK(param(R"({"model":"m","user":3})") == "user");
    CHECK(param(R"({"model":"m","priority":"high"})") == "priority");
    CHECK(param(R"({"model":"m","timeout":0})") == "timeout");
    CHECK(param(R"({"model":"m","max_wait_seconds":-1})") == "max_wait_seconds");
}

TEST_CASE("a field that decides may occur only once, however it is written") {
    CHECK(refused(R"({"model":"a","model":"b"})").param == "model");
    CHECK(refused(R"({"model":"a","mod\u0065l":"b"})").param == "model");
    CHECK(refused(R"({"model":"a","Model":"b"})").param == "model");
    CHECK(refused(R"({"MODEL":"a"})").param == "model");
    CHECK(refused(R"({"model":"a","max_tokens":1,"max_tokens":900})").param == "max_tokens");
    CHECK(refused(R"({"model":"a","stream":true,"stream":false})").param == "stream");
    CHECK(refused(R"({"model":"a","messages":[],"messages":[]})").param == "messages");
    CHECK(refused(R"({"model":"a","stream_options":{"include_usage":false,"include_usage":true}})")
              .param == "stream_options");
    CHECK(facts_of(R"({"model":"a","x":1,"x":2})").model == "a");
    CHECK(facts_of(R"({"mod\u0065l":"\u0061b"})").model == "ab");
}

TEST_CASE("only the name of the model changes") {
    CHECK(spliced(R"({ "b":1.0, "model" : "old" ,"a": [ 1e2 ] } )") ==
          R"({ "b":1.0, "model" : "new" ,"a": [ 1e2 ] } )");
    CHECK(spliced(R"({"model":"m\"x\\"})") == R"({"model":"new"})");
    CHECK(splice(R"({"model":"m"})", facts_of(R"({"model":"m"})"), json_string("a\"b\\c\n\x01"),
                 false)
              .joined() == "{\"model\":\"a\\\"b\\\\c\\u000a\\u0001\"}");
}

TEST_CASE("the model may be in the path instead") {
    CHECK(spliced("{}", false, ModelIn::path) == R"({"model":"new"})");
    CHECK(spliced(R"( {"a":1})", false, ModelIn::path) == R"( {"model":"new","a":1})");
    CHECK(spliced(R"({"priority":1})", false, ModelIn::path) == R"({"model":"new"})");
    CHECK(spliced(R"({"a":1,"model":"x"})", false, ModelIn::path) == R"({"a":1,"model":"new"})");
    CHECK(facts_of("{}", ModelIn::path).model.empty());
}

TEST_CASE("usage is asked for wherever the client put its stream options") {
    CHECK(spliced(R"({"model":"m","stream":true})", true) ==
          R"({"stream_options":{"include_usage":true},"model":"new","stream":true})");
    CHECK(spliced(R"({"stream_options":null,"model":"m"})", true) ==
          R"({"stream_options":{"include_usage":true},"model":"new"})");
    CHECK(spliced(R"({"model":"m","stream_options":{ }})", true) ==
          R"({"model":"new","stream_options":{"include_usage":true }})");
    CHECK(spliced(R"({"model":"m","stream_options":{"a":{"include_usage":1}}})", true) ==
          R"({"model":"new","stream_options":{"include_usage":true,"a":{"include_usage":1}}})");
    CHECK(spliced(R"({"model":"m","stream_options":{"include_usage": false ,"a":1}})", true) ==
          R"({"model":"new","stream_options":{"include_usage": true ,"a":1}})");
    const auto facts = facts_of(R"({"model":"m","stream_options":{"include_usage":true}})");
    CHECK(facts.include_usage);
    CHECK(facts.has_stream_options);
}

TEST_CASE("fields for the router are read and left out") {
    const auto facts = facts_of(
        R"({"model":"m","priority":3,"timeout":1.5,"max_wait_seconds":0,"num_retries":4})");
    CHECK(facts.priority == 3);
    CHECK(facts.timeout_seconds == 1.5);
    CHECK(facts.max_wait_seconds == 0.0);
    CHECK(facts.num_retries == 4u);
    CHECK(facts_of(R"({"model":"m","priority":-5})").priority == 0);
    CHECK(facts_of(R"({"model":"m","priority":1e9})").priority == 255);

    CHECK(spliced(R"({"model":"m", "priority" : 3})") == R"({"model":"new"})");
    CHECK(spliced(R"({"priority":3,"timeout":2,"model":"m"})") == R"({"model":"new"})");
    CHECK(spliced(R"({"model":"m","priority":3,"timeout":2})") == R"({"model":"new"})");
    CHECK(spliced(R"({"priority":3 , "a":1 , "timeout":2 , "model":"m"})") ==
          R"({ "a":1  , "model":"new"})");
    CHECK(
        spliced(R"({"timeout":9,"stream":true,"priority":3,"model":"m","num_retries":1})", true) ==
        R"({"stream_options":{"include_usage":true},"stream":true,"model":"new"})");
}

TEST_CASE("tags are read from the body and from its metadata, and only the body's own are left out") {
    const auto tags = [](std::string_view body) { return facts_of(body).tags; };
    using Tags = std::vector<std::string>;
    CHECK(tags(R"({"model":"m"})").empty());
    CHECK(tags(R"({"model":"m","tags":null})").empty());
    CHECK(tags(R"({"tags":["a","b\n"],"model":"m"})") == Tags{"a", "b\n"});
    CHECK(tags(R"({"model":"m","metadata":{"x":{"tags":["no"]},"tags":["c"]},"tags":["a"]})") ==
          Tags{"c", "a"});
    // Metadata are the upstream's, and may hold anything under that name.
    CHECK(tags(R"({"model":"m","metadata":{"tags":"a"}})").empty());
    CHECK(tags(R"({"model":"m","metadata":{"tags":[1,"a",["b"]]}})") == Tags{"a"});
    CHECK(tags(R"({"model":"m","metadata":null})").empty());
    CHECK(spliced(R"({"model":"m","tags":["a"],"metadata":{"tags":["c"]}})") ==
          R"({"model":"new","metadata":{"tags":["c"]}})");
    for (const char* wrong : {R"("a")", "[1]", R"(["a",{}])", R"({"a":1})"}) {
        CAPTURE(wrong);
        const auto read = read_request(R"({"model":"m","tags":)" + std::string(wrong) + "}");
        REQUIRE(std::holds_alternative<BadRequest>(read));
        CHECK(std::get<BadRequest>(read).param == "tags");
    }
    std::string many = R"({"model":"m","tags":[""])";
    for (std::size_t i = 0; i < kTagsMax; ++i) many.insert(many.size() - 1, R"(,"t")");
    CHECK(std::holds_alternative<BadRequest>(read_request(many + "}")));
    CHECK(std::holds_alternative<BadRequest>(read_request(R"({"model":"m","metadata":{"tags":["a"x]}})")));
}

TEST_CASE("what is LiteLLM's own is left out, or refused where to do without it would be wrong") {
    CHECK(
        spliced(
            R"({"cache":{"no-cache":true},"model":"m","no-log":true , "fallbacks":[{"a":["b"]}],"x":1})") ==
        R"({"model":"new" ,"x":1})");
    CHECK(spliced(R"({"model":"m","litellm_metadata":{"tags":["a"]},"timeout":1})") == R"({"model":"new"})");
    CHECK(facts_of(R"({"model":"m","litellm_metadata":{"tags":["a"]}})").tags ==
          std::vector<std::string>{"a"});
    for (const KnownField& known : kKnownFields) {
        CAPTURE(known.name);
        const std::string body = R"({"model":"m",")" + std::string(known.name) + R"(":[]})";
        if (known.field == BodyField::refused) CHECK(refused(body).param == known.name);
        if (known.field == BodyField::left_out) CHECK(spliced(body) == R"({"model":"new"})");
        if (is_own(known.field)) {
            CHECK(spliced(R"({"model":"m",")" + std::string(known.name) + R"(":null})") ==
                  R"({"model":"new"})");
        }
        CHECK(kFieldsByLength[kFieldsByLength.find(known.name)].field == known.field);
    }
    CHECK(kFieldsByLength.find("modem") == FieldsByLength::kCount);
    CHECK(kFieldsByLength.find(std::string(100, 'x')) == FieldsByLength::kCount);
    CHECK(kFieldsByLength.find("") == FieldsByLength::kCount);
    std::string many = R"({"model":"m")";
    for (const KnownField& known : kKnownFields) {
        if (is_own(known.field)) many += R"(,")" + std::string(known.name) + R"(":null)";
    }
    CHECK(refused(many + "}").message.find("meant for the router alone") != std::string::npos);
}

TEST_CASE("as many of the router's fields as may be are left out of one body") {
    std::string body = R"({"model":"m","a":1)";
    std::size_t count = 0;
    for (const KnownField& known : kKnownFields) {
        if (!is_own(known.field) || count == kOwnFieldsMax) continue;
        ++count;
        body += R"(,")" + std::string(known.name) + R"(":null,"x)" + std::to_string(count) + "\":1";
    }
    const auto sent = json::parse(spliced(body + R"(,"stream":true,"stream_options":{}})", true));
    CHECK(sent.size() == 4 + kOwnFieldsMax);
    CHECK(sent.at("stream_options").at("include_usage") == true);
}

TEST_CASE("a timeout for streams, and either name for any other") {
    const auto facts = facts_of(R"({"model":"m","stream_timeout":2.5,"request_timeout":9})");
    CHECK(facts.stream_timeout_seconds == 2.5);
    CHECK(facts.timeout_seconds == 9);
    CHECK(facts_of(R"({"model":"m","request_timeout":9,"timeout":3})").timeout_seconds == 3);
    CHECK(refused(R"({"model":"m","stream_timeout":0})").param == "stream_timeout");
}

TEST_CASE("every order of members splices to valid JSON without the router's fields") {
    std::vector<std::string> members = {R"("model":"m")",          R"("priority":1)",
                                        R"("timeout":2)",          R"("stream":true)",
                                        R"("max_wait_seconds":3)", R"("num_retries":0)"};
    std::sort(members.begin(), members.end());
    std::size_t orders = 0;
    do {
        std::string body = "{ ";
        for (const auto& member : members) body += (body.size() > 2 ? " , " : "") + member;
        body += " }";
        for (const bool ask : {false, true}) {
            const auto sent = json::parse(spliced(body, ask));
            json expected = {{"model", "new"}, {"stream", true}};
            if (ask) expected["stream_options"] = {{"include_usage", true}};
            if (sent != expected) FAIL(body << " -> " << sent);
        }
        ++orders;
    } while (std::next_permutation(members.begin(), members.end()));
    CHECK(orders == 720);
}

TEST_CASE("deep nesting is refused, not followed") {
    for (const std::size_t depth : {600u, 5'000u, 2'000'000u}) {
        const auto nested = [&](const char* open, const char* close, bool closed) {
            std::string body = R"({"model":"m","x":)";
            for (std::size_t i = 0; i < depth; ++i) body += open;
            body += "1";
            for (std::size_t i = 0; closed && i < depth; ++i) body += close;
            return body + (closed ? "}" : "");
        };
        CHECK(refused(nested("[", "]", true)).param == "request_body");
        CHECK(refused(nested("[", "]", false)).param == "request_body");
        CHECK(refused(nested(R"({"a":)", "}", true)).param == "request_body");
    }
    CHECK(facts_of(R"({"model":"m","x":)" + std::string(500, '[') + std::string(500, ']') + "}")
              .model == "m");
}

TEST_CASE("truncated and damaged bodies are refused exactly when they are not JSON") {
    const std::string body =
        R"({"model":"gpt","messages":[{"role":"user","content":"a \"quoted\" \u00e9 text\n"},)"
        R"({"x":[1,-2.5e3,null]}],)"
        R"("stream":true,"stream_options":{"include_usage":false},"max_tokens":5,)"
        R"("priority":9,"k":{"":[[],{}]}})";
    RequestReader reader;
    for (std::size_t size = 0; size < body.size(); ++size) {
        CHECK(std::holds_alternative<BadRequest>(reader.read(body.substr(0, size))));
    }
    std::mt19937_64 random(7);
    std::size_t accepted = 0;
    std::size_t refusals = 0;
    for (int round = 0; round < 60'000; ++round) {
        std::string damaged = body;
        for (auto changes = 1 + random() % 3; changes > 0; --changes) {
            const auto at = random() % damaged.size();
            constexpr std::string_view likely = "{}[]\",:0e-.\\u tn\x80\x01";
            switch (random() % 4) {
                case 0:
                    damaged.erase(at, 1 + random() % 4);
                    break;
                case 1:
                    damaged.insert(at, 1, likely[random() % likely.size()]);
                    break;
                case 2:
                    damaged[at] = likely[random() % likely.size()];
                    break;
                default:
                    damaged[at] = static_cast<char>(random());
                    break;
            }
            if (damaged.empty()) damaged = "{";
        }
        const auto read = reader.read(damaged);
        const bool is_json = json::accept(damaged);
        if (const auto* facts = std::get_if<RequestFacts>(&read)) {
            ++accepted;
            if (!is_json) FAIL("accepted although it is not JSON: " << damaged);
            const auto sent = splice(damaged, *facts, "\"new\"", true).joined();
            if (!json::accept(sent)) FAIL(damaged << " was spliced to " << sent);
            if (json::parse(sent).at("model") != "new") FAIL(sent);
        } else {
            ++refusals;
            if (is_json && std::get<BadRequest>(read).param == "request_body") {
                FAIL("refused although it is JSON: " << damaged << ": "
                                                     << std::get<BadRequest>(read).message);
            }
        }
    }
    CHECK(accepted > 1'000);
    CHECK(refusals > 1'000);
}

TEST_CASE("random bytes never crash the reader") {
    std::mt19937_64 random(11);
    RequestReader reader;
    for (int round = 0; round < 20'000; ++round) {
        std::string bytes(random() % 200, '\0');
        for (auto& byte : bytes) byte = static_cast<char>(random());
        if (round % 2 == 0 && !bytes.empty()) bytes[0] = '{';
        CHECK(std::holds_alternative<BadRequest>(reader.read(bytes)));
    }
}

TEST_CASE("a reader forgets the body before, also a large one") {
    RequestReader reader;
    const std::string large =
        R"({"model":"large","prompt":")" + std::string(3u << 20, 'x') + R"("})";
    for (int round = 0; round < 3; ++round) {
        CHECK(std::get<RequestFacts>(reader.read(large)).prompt_bytes == 3u << 20);
        const auto small = std::get<RequestFacts>(reader.read(R"({"model":"s"})"));
        CHECK(small.model == "s");
        CHECK(small.prompt_bytes == 0);
        CHECK(std::holds_alternative<BadRequest>(reader.read(large.substr(0, large.size() - 2))));
    }
}
