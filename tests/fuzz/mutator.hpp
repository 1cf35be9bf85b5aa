// Damages texts at random, the same way for the same seed: what comes from outside is never as it should be.
//
// Thread safety: none.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/support/long_form.hpp"

namespace weir::test {

/// How many rounds a test takes: `rounds`, or a hundred times as many in the long form.
inline int fuzz_rounds(int rounds) { return long_form() ? rounds * 100 : rounds; }

class Mutator {
 public:
    /// `samples` are sound texts; `tokens` are pieces that matter in their language.
    Mutator(std::uint64_t seed, std::vector<std::string> samples, std::vector<std::string> tokens)
        : random_(seed), samples_(std::move(samples)), tokens_(std::move(tokens)) {}

    /// A number from 0 to below `end`; 0 if `end` is 0.
    std::size_t below(std::size_t end) { return end == 0 ? 0 : random_() % end; }

    /// A sample with some damage; now and then with none.
    std::string next() {
        std::string text = samples_[below(samples_.size())];
        for (std::size_t changes = below(6); changes > 0; --changes) change(text);
        return text;
    }

    /// Where to cut `text` into pieces: sorted, ending with its size.
    std::vector<std::size_t> cuts(const std::string& text) {
        std::vector<std::size_t> cuts = {text.size()};
        for (std::size_t count = below(8); count > 0; --count) cuts.push_back(below(text.size() + 1));
        std::sort(cuts.begin(), cuts.end());
        return cuts;
    }

 private:
    void change(std::string& text) {
        const std::size_t at = below(text.size() + 1);
        const std::size_t length = below(std::min<std::size_t>(text.size() - at, 1 + below(40)) + 1);
        switch (below(8)) {
            case 0: text.insert(at, tokens_[below(tokens_.size())]); break;
            case 1: text.replace(at, length, tokens_[below(tokens_.size())]); break;
            case 2: text.erase(at, length); break;
            case 3: text.insert(below(text.size() + 1), text.substr(at, length)); break;
            case 4: text.insert(at, 1, static_cast<char>(random_())); break;
            case 5: text.resize(at); break;
            case 6: splice(text, at); break;
            default:
                if (at < text.size()) text[at] = static_cast<char>(text[at] ^ 1 << below(8));
                break;
        }
    }

    /// Goes on with the rest of another sample.
    void splice(std::string& text, std::size_t at) {
        const std::string& other = samples_[below(samples_.size())];
        text.replace(at, std::string::npos, other.substr(below(other.size() + 1)));
    }

    std::mt19937_64 random_;
    std::vector<std::string> samples_;
    std::vector<std::string> tokens_;
};

}  // namespace weir::test
