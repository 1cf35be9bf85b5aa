// Answers on their way. However the bytes are cut, the scanner finds the same; what the stripper
// lets through is the same, and is the answer itself but for whole events.
#include <string>

#include "router/usage.hpp"
#include "tests/fuzz/target.hpp"

using namespace weir::router;
using weir::test::promise;

namespace {

struct Seen {
    std::optional<Usage> usage;
    std::uint64_t events = 0;
    std::uint64_t content = 0;
    bool done = false;
    bool error = false;
};

Seen seen_by(const UsageScanner& scanner) {
    return {scanner.usage(), scanner.events(), scanner.content_bytes(), scanner.done(),
            scanner.error_seen()};
}

bool same(const Seen& a, const Seen& b) {
    if (a.usage.has_value() != b.usage.has_value()) return false;
    if (a.usage && (a.usage->prompt_tokens != b.usage->prompt_tokens ||
                    a.usage->completion_tokens != b.usage->completion_tokens ||
                    a.usage->total_tokens != b.usage->total_tokens ||
                    a.usage->cached_tokens != b.usage->cached_tokens)) {
        return false;
    }
    return a.events == b.events && a.content == b.content && a.done == b.done && a.error == b.error;
}

void scan(std::string_view text, AnswerKind kind) {
    UsageScanner whole(kind);
    whole.feed(text);
    UsageScanner cut(kind);
    weir::test::in_pieces(text, [&](std::string_view piece) { cut.feed(piece); });
    promise(same(seen_by(whole), seen_by(cut)), "a scanner finds the same in every cut");
}

std::string stripped(std::string_view text, bool in_pieces) {
    UsageScanner scanner(AnswerKind::events);
    UsageStripper stripper(scanner);
    std::string out;
    if (in_pieces) {
        weir::test::in_pieces(text, [&](std::string_view piece) { out += stripper.feed(piece); });
    } else {
        out += stripper.feed(text);
    }
    out += stripper.finish();
    return out;
}

/// Whether `part` is `whole` with some bytes left out.
bool is_subsequence(std::string_view part, std::string_view whole) {
    std::size_t at = 0;
    for (const char c : whole) {
        if (at < part.size() && part[at] == c) ++at;
    }
    return at == part.size();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text = weir::test::text_of(data, size);
    scan(text, AnswerKind::json);
    scan(text, AnswerKind::events);
    const std::string out = stripped(text, false);
    promise(out == stripped(text, true), "a stripper lets the same through in every cut");
    promise(is_subsequence(out, text), "a stripper adds nothing");
    if (text.find("usage") == std::string_view::npos)
        promise(out == text, "without usage everything passes");
    return 0;
}
