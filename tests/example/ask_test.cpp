// The example of docs/router.md does what the document says.
#include <catch2/catch.hpp>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

#include "tests/support/fake_upstream.hpp"
#include "tests/unit/shm/scratch_segment.hpp"

namespace {

/// Exit code and output of a command.
std::pair<int, std::string> output_of(const std::string& command) {
    std::string text;
    std::FILE* pipe = ::popen(command.c_str(), "r");
    REQUIRE(pipe != nullptr);
    std::array<char, 4096> buffer{};
    while (const std::size_t got = std::fread(buffer.data(), 1, buffer.size(), pipe)) {
        text.append(buffer.data(), got);
    }
    const int status = ::pclose(pipe);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, text};
}

}  // namespace

TEST_CASE("the example asks a model, and its processes keep one limit together") {
    const weir::test::FakeUpstream upstream;
    const weir::shm::test::ScratchName scratch;
    const auto file = std::filesystem::temp_directory_path() / (scratch.name + ".yaml");
    std::ofstream(file) << "model_list:\n"
                           "  - {model_name: m, litellm_params: {model: openai/gpt, rpm: 4, api_base: '"
                        << upstream.base() << "'}}\nweir_settings: {segment: " << scratch.name << "}\n";
    const auto ask = [&](const std::string& who) {
        return output_of(std::string(WEIR_EXAMPLE) + " " + file.string() + " m " + who +
                         " 'What is \"it\"?' 2>&1");
    };
    for (int i = 0; i < 3; ++i) {
        const auto [code, text] = ask("ann");
        CHECK(code == 0);
        CHECK(text.find("chatcmpl-") != std::string::npos);
    }
    const auto refused = [&](const std::string& who, const std::string& reason) {
        const auto [code, text] = ask(who);
        CHECK(code == 1);
        CHECK(text.find(reason) != std::string::npos);
        CHECK(text.find("ask again in ") != std::string::npos);
    };
    refused("ann", "asker 'ann' allows 3 requests in 60 s");
    CHECK(ask("bob").first == 0);
    refused("bob", "allows 4 requests in 60 s");
    CHECK(upstream.arrivals() == 4);
    std::filesystem::remove(file);
}
