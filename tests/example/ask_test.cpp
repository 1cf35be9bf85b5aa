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
                           "  - {model_name: m, litellm_params: {model: openai/gpt, rpm: 2, api_base: '"
                        << upstream.base() << "'}}\nweir_settings: {segment: " << scratch.name << "}\n";
    const std::string command = std::string(WEIR_EXAMPLE) + " " + file.string() + " m 'What is \"it\"?' 2>&1";
    CHECK(output_of(command).second.find("chatcmpl-") != std::string::npos);
    CHECK(output_of(command).first == 0);
    const auto [code, text] = output_of(command);
    CHECK(code == 1);
    CHECK(text.find("allows 2 requests in 60 s") != std::string::npos);
    CHECK(upstream.arrivals() == 2);
    std::filesystem::remove(file);
}
