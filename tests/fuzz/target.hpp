// A fuzz target: one function over any bytes, which ends the process when a promise is broken.
//
// Each fuzz_*.cpp defines LLVMFuzzerTestOneInput. With clang and WEIR_FUZZ it becomes a libFuzzer
// program (scripts/fuzz.sh); in the ordinary suite replay_main.cpp plays the inputs that are kept
// in corpus/, and damaged forms of them.
//
// Source: https://llvm.org/docs/LibFuzzer.html
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace weir::test {

/// Ends the process unless `holds`: libFuzzer and the replay then keep the input that led here.
inline void promise(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "broken promise: %s\n", what);
    std::abort();
}

/// The input as text.
inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
    return {reinterpret_cast<const char*>(data), size};
}

/// Calls `visit` with the pieces of `text` that a few bytes of itself decide: inputs that differ in
/// one byte are cut in other places.
template <class Visit>
void in_pieces(std::string_view text, const Visit& visit) {
    std::size_t at = 0;
    while (at < text.size()) {
        const auto byte = static_cast<unsigned char>(text[(at * 7 + text.size()) % text.size()]);
        const std::size_t length = byte < 64 ? 1 : byte % 61 + 1;
        visit(text.substr(at, length));
        at += length;
    }
}

}  // namespace weir::test
