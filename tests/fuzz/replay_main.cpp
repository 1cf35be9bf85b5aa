// Plays inputs of a fuzz target: every file of the folders that are named, then damaged forms of
// them, the same ones each time. Prints how many there were; fails if a folder has none.
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tests/fuzz/mutator.hpp"
#include "tests/fuzz/target.hpp"

namespace {

constexpr int kDamaged = 3'000;  // rounds; a hundred times as many in the long form
constexpr const char* kKept = "fuzz-input";

void play(const std::string& input) {
    // What kills the process is found here afterwards.
    std::ofstream(kKept, std::ios::binary) << input;
    LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(input.data()), input.size());
}

std::vector<std::string> read_folder(const std::filesystem::path& folder) {
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(folder))
        files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    std::vector<std::string> inputs;
    for (const auto& file : files) {
        std::ifstream in(file, std::ios::binary);
        inputs.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
    }
    return inputs;
}

}  // namespace

int main(int count, char** arguments) {
    for (int i = 1; i < count; ++i) {
        const auto inputs = read_folder(arguments[i]);
        if (inputs.empty()) {
            std::fprintf(stderr, "%s: no inputs\n", arguments[i]);
            return 1;
        }
        for (const std::string& input : inputs) play(input);
        const std::vector<std::string> tokens = {"\r\n",
                                                 "\n",
                                                 "\"",
                                                 "{",
                                                 "}",
                                                 "[",
                                                 "]",
                                                 ":",
                                                 ",",
                                                 "-",
                                                 "0",
                                                 "1e9",
                                                 std::string(1, '\0'),
                                                 "\xff",
                                                 "null",
                                                 "*",
                                                 ";",
                                                 "="};
        weir::test::Mutator mutator(inputs.size(), inputs, tokens);
        const int rounds = weir::test::fuzz_rounds(kDamaged);
        for (int round = 0; round < rounds; ++round) play(mutator.next());
        std::printf("%s: %zu inputs, %d damaged\n", arguments[i], inputs.size(), rounds);
    }
    std::filesystem::remove(kKept);
    return count > 1 ? 0 : 1;
}
