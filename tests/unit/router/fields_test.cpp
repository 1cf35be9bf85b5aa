#include "router/fields.hpp"

#include <catch2/catch.hpp>

#include <string>

using namespace weir::router;

TEST_CASE("fields are kept in their order and spelling, and found in any spelling") {
    Fields fields;
    fields.add("Content-Type", "text/plain");
    fields.add("X-A", "");
    fields.add("content-type", "second");
    REQUIRE(fields.size() == 3);
    CHECK(fields[0].name == "Content-Type");
    CHECK(fields[1].value.empty());
    CHECK(fields.get("CONTENT-TYPE") == "text/plain");
    CHECK(fields.has("x-a"));
    CHECK(fields.get("x-a").empty());
    CHECK_FALSE(fields.has("x-b"));
    CHECK(fields.get("x-b").empty());
    fields.clear();
    CHECK(fields.size() == 0);
    CHECK_FALSE(fields.has("x-a"));
}

TEST_CASE("every name that is there is found, in any case of its letters, and no other") {
    const auto name = [](int i) {
        // Of all lengths, with all first and last letters, and signs among them.
        const std::string signs(static_cast<std::size_t>(i % 17), '_');
        const char last = static_cast<char>('a' + i / 3 % 26);
        return static_cast<char>('a' + i % 26) + signs + std::to_string(i) + last;
    };
    const auto capitals = [](std::string text) {
        for (char& c : text) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
        return text;
    };
    for (int first = 0; first < 200; first += 5) {
        Fields fields;
        for (int i = first; i < first + 5; ++i) {
            fields.add(i % 2 == 0 ? capitals(name(i)) : name(i), std::to_string(i));
        }
        for (int i = 0; i < 200; ++i) {
            const bool there = i >= first && i < first + 5;
            CAPTURE(name(i));
            CHECK(fields.get(capitals(name(i))) == (there ? std::to_string(i) : ""));
            CHECK(fields.has(name(i)) == there);
        }
        fields.clear();
        CHECK_FALSE(fields.has(name(first)));
    }
    Fields fields;
    CHECK(fields.get("").empty());
    fields.add("", "of no name");
    CHECK(fields.get("") == "of no name");
}

TEST_CASE("only ASCII letters have a case") {
    CHECK(same_name("aZ09-", "Az09-"));
    CHECK_FALSE(same_name("[", "{"));  // 0x5b and 0x7b, as far apart as 'A' and 'a'
    CHECK_FALSE(same_name("\xc4", "\xe4"));
    CHECK_FALSE(same_name("a", "ab"));
    // The same of every byte and at every place of a longer name, of which eight are compared at once.
    const std::string name = "x-ratelimit-remaining";
    for (std::size_t size = 1; size <= name.size(); ++size) {
        for (std::size_t at = 0; at < size; ++at) {
            for (int one = 0; one < 256; ++one) {
                std::string a = name.substr(0, size);
                std::string b = a;
                a[at] = static_cast<char>(one);
                b[at] = static_cast<char>(one ^ 0x20);
                const bool letter = (one | 0x20) >= 'a' && (one | 0x20) <= 'z';
                if (same_name(a, b) != letter) FAIL_CHECK(a << " and " << b);
            }
        }
    }
}

TEST_CASE("tokens of a list are found between blanks and commas, whole") {
    CHECK(has_token("close", "Close"));
    CHECK(has_token("keep-alive,\t Upgrade ", "upgrade"));
    CHECK_FALSE(has_token("keep-alives, upgrade", "keep-alive"));
    CHECK_FALSE(has_token("", "close"));
    CHECK(has_token(",,close,", "close"));
}

TEST_CASE("what concerns one connection is not relayed, nor what the message itself says so of") {
    Fields fields;
    fields.add("connection", "close, X-Mine");
    fields.add("Connection", "x-other");
    fields.add("x-mine", "1");
    for (const char* name : {"Connection", "Keep-Alive", "TE", "Trailer", "Transfer-Encoding", "Upgrade",
                             "Content-Length", "Proxy-Connection", "x-mine", "X-Other"}) {
        CAPTURE(name);
        CHECK(is_hop_by_hop(fields, name));
    }
    CHECK_FALSE(is_hop_by_hop(fields, "content-type"));
    CHECK_FALSE(is_hop_by_hop(fields, "x-mine-too"));
}
