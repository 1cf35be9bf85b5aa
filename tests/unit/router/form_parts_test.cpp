#include "router/form_parts.hpp"

#include <catch2/catch.hpp>

#include <string>

using namespace weir::router;

namespace {

std::string why(const std::string& body, std::string_view boundary = "B") {
    const auto read = read_parts(body, boundary);
    const auto* const error = std::get_if<FormError>(&read);
    return error != nullptr ? error->why : std::string();
}

std::vector<FormPart> parts_of(const std::string& body) {
    auto read = read_parts(body, "B");
    if (const auto* error = std::get_if<FormError>(&read)) FAIL(error->why);
    return std::move(std::get<std::vector<FormPart>>(read));
}

/// A form of one part with this head, each line with its end.
std::string with_head(const std::string& head) {
    return "--B\r\n" + head + "\r\nx\r\n--B--\r\n";
}

/// A form of one part whose Content-Disposition has these parameters.
std::string disposed(const std::string& parameters) {
    return with_head("Content-Disposition: form-data" + parameters + "\r\n");
}

std::string written(const std::string& body) {
    return part_head("B", parts_of(body).at(0));
}

std::string boundary(std::string_view type) {
    const auto read = read_boundary(type);
    const auto* const error = std::get_if<FormError>(&read);
    return error != nullptr ? "refused" : std::get<std::string>(read);
}

}  // namespace

TEST_CASE("the parts of a form with their names, types and contents") {
    const std::string body =
        "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\none\r\n"
        "--B\r\ncontent-type: audio/wav\r\nCONTENT-DISPOSITION: Form-Data ;filename=\"f.wav\" ; "
        "name=b\r\n\r\n"
        "\r\n\r\n--\r\n--B--\r\n";
    const auto parts = parts_of(body);
    REQUIRE(parts.size() == 2);
    CHECK(parts[0].name == "a");
    CHECK_FALSE(parts[0].filename);
    CHECK(body.substr(parts[0].content.begin, 3) == "one");
    CHECK(parts[1].name == "b");
    CHECK(parts[1].filename == "f.wav");
    CHECK(parts[1].type == "audio/wav");
    CHECK(body.substr(parts[1].content.begin, parts[1].content.end - parts[1].content.begin) ==
          "\r\n\r\n--");
    CHECK(part_head("B", parts[1]) ==
          "--B\r\nContent-Disposition: form-data; name=\"b\"; filename=\"f.wav\"\r\n"
          "Content-Type: audio/wav\r\n\r\n");
    CHECK(parts_of("--B--").empty());
    CHECK(parts_of("--B \t\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n--B--\r\n")
              .at(0)
              .content.empty());
}

TEST_CASE("parameters that parsers read differently are refused") {
    for (const char* parameters : {"; name=\"x\"; name*=utf-8''model",  // RFC 5987
                                   "; name*0=mod; name*1=el",           // RFC 2231
                                   "; name=\"x\"; filename*=UTF-8''a.wav",
                                   "; name=\"x\"; name=\"y\"",
                                   "; name=\"x\"; NAME=\"model\"",
                                   "; name=\"x\"; size=3",
                                   "; name=\"mod\\\"el\"",
                                   "; name=\"mod\\el\"",
                                   "; name=\" model\"",
                                   "; name=\"model \"",
                                   "; name=\"\"",
                                   "; name=",
                                   "; name",
                                   "; name=\"x",
                                   "; name=\"x\" y",
                                   "; name=a b",
                                   "; name=\"m\xc3\xb6\"",
                                   "; name=a\"b",
                                   ";; name=\"x\"=",
                                   ""}) {
        INFO(parameters);
        CHECK_FALSE(why(disposed(parameters)).empty());
    }
    CHECK(why(disposed("; NAME=x")).empty());
    CHECK(why(disposed("; name=\"x\";")).empty());
}

TEST_CASE("a file's name goes out quoted, in UTF-8") {
    CHECK(written(disposed("; name=a; filename=\"\"")) ==
          "--B\r\nContent-Disposition: form-data; name=\"a\"; filename=\"\"\r\n\r\n");
    CHECK(written(disposed("; name=a; filename=\"q\\\"r\\\\s\"")) ==
          "--B\r\nContent-Disposition: form-data; name=\"a\"; filename=\"q%22r%5Cs\"\r\n\r\n");
    CHECK(written(disposed("; name=a; filename=\"\xc3\xa9.mp3\"")) ==
          "--B\r\nContent-Disposition: form-data; name=\"a\"; filename=\"\xc3\xa9.mp3\"\r\n\r\n");
    CHECK(why(disposed("; name=a; filename=\"\xff\"")) == "a file's name is not valid UTF-8");
}

TEST_CASE("a part's head has the fields that are understood") {
    const std::string named = "Content-Disposition: form-data; name=a\r\n";
    const auto rewritten = part_head("B", parts_of(with_head(named)).at(0));
    CHECK(written(with_head(named + "Content-Length: 1\r\n")) == rewritten);
    CHECK(written(with_head("Content-Transfer-Encoding: 8bit\r\n" + named)) == rewritten);
    for (const std::string& head : std::initializer_list<std::string>{
             named + named, named + "X-Other: 1\r\n",
             named + "Content-Transfer-Encoding: base64\r\n",
             named + "Content-Type: text/plain\r\nContent-Type: text/plain\r\n",
             named + "Content-Type:\r\n", named + "Content-Type: multipart/mixed; boundary=C\r\n",
             named + "Content-Type: text/plain; charset=utf-16\r\n", named + " folded\r\n",
             named + "no colon\r\n", named + "Content-Type : text/plain\r\n",
             std::string("Content-Disposition: attachment; name=a\r\n"),
             std::string("Content-Type: text/plain\r\n"),
             std::string("Content-Disposition: form-data;\n name=a\r\n"),
             std::string("Content-Disposition: form-data; name=\"a\rb\"\r\n"),
             std::string("Content-Disposition: form-data; name=\"a\0b\"\r\n", 43)}) {
        INFO(head);
        CHECK_FALSE(why(with_head(head)).empty());
    }
}

TEST_CASE("a form is its parts and nothing else") {
    const std::string part = "Content-Disposition: form-data; name=a\r\n\r\nx";
    CHECK(why("--B\r\n" + part + "\r\n--B--").empty());
    for (const std::string& body :
         {"junk\r\n--B\r\n" + part + "\r\n--B--\r\n", "\r\n--B\r\n" + part + "\r\n--B--\r\n",
          "--B\r\n" + part + "\r\n--B--\r\nmore", "--B\r\n" + part + "\r\n--B--\r\n\r\n",
          "--B\r\n" + part, "--B\r\n" + part + "--B--\r\n",
          "--B\r\n" + part + "\n--B\n" + part + "\r\n--B--\r\n",
          "--B\r\n" + part + " --B \r\n--B--\r\n", "--B\n" + part + "\r\n--B--\r\n",
          "--Bx\r\n" + part + "\r\n--B--\r\n",
          std::string("--B\r\nContent-Disposition: form-data; name=a\r\n--B--\r\n"),
          std::string()}) {
        INFO(body);
        CHECK_FALSE(why(body).empty());
    }
    std::string many;
    for (std::size_t i = 0; i < kFormPartsMax; ++i) many += "--B\r\n" + part + "\r\n";
    CHECK(parts_of(many + "--B--").size() == kFormPartsMax);
    CHECK(why(many + "--B\r\n" + part + "\r\n--B--") == "it has more than 1000 parts");
}

TEST_CASE("the boundary of a content type") {
    CHECK(boundary("multipart/form-data; boundary=B") == "B");
    CHECK(boundary("multipart/form-data; charset=utf-8; BOUNDARY=\"a b:c\"") == "a b:c");
    for (const char* type :
         {"multipart/form-data", "multipart/form-data; boundary=",
          "multipart/form-data; boundary=\"\"", "multipart/form-data; boundary=a; boundary=b",
          "multipart/form-data; boundary=B; boundary*=utf-8''C",
          "multipart/form-data; boundary*0=B", "multipart/form-data; boundary=\"a \"",
          "multipart/form-data; boundary=\"a\\\"b\"", "multipart/form-data; boundary=\"a",
          "multipart/form-data; boundary=\"\xc3\xa9\"", "multipart/form-data boundary=B"}) {
        INFO(type);
        CHECK(boundary(type) == "refused");
    }
    CHECK(boundary("multipart/form-data; boundary=" + std::string(70, 'x')) ==
          std::string(70, 'x'));
    CHECK(boundary("multipart/form-data; boundary=" + std::string(71, 'x')) == "refused");
    CHECK(form_type("B") == "multipart/form-data; boundary=B");
    CHECK(form_type("a b:c") == "multipart/form-data; boundary=\"a b:c\"");
}
