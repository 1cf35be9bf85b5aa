// Replies of a Redis. However the bytes are cut the same values come of them, and what is taken for
// an answer to a heartbeat is one.
#include <string>
#include <vector>

#include "router/redis/lease_message.hpp"
#include "router/redis/redis_value.hpp"
#include "tests/fuzz/target.hpp"

using namespace weir::router;
using weir::test::promise;

namespace {

bool same(const RedisValue& a, const RedisValue& b) {
    if (a.kind != b.kind || a.integer != b.integer || a.text != b.text) return false;
    if (a.elements.size() != b.elements.size()) return false;
    for (std::size_t i = 0; i < a.elements.size(); ++i) {
        if (!same(a.elements[i], b.elements[i])) return false;
    }
    return true;
}

void take(RedisReader& reader, std::vector<RedisValue>& values) {
    while (auto value = reader.next()) values.push_back(std::move(*value));
}

void check_answer(const RedisValue& value) {
    for (const std::size_t reports :
         {std::size_t{0}, std::size_t{1}, value.elements.size(), std::size_t{500}}) {
        const auto answer = read_answer(value, reports);
        if (!answer) continue;
        promise(answer->status != BeatAnswer::Status::granted || answer->leases.size() == reports,
                "a lease for each report");
    }
    if (value.is_error()) {
        const auto redirect = read_redirect(value.text);
        promise(!redirect || redirect->port != 0, "a redirect has a port");
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text = weir::test::text_of(data, size);
    RedisReader whole;
    std::vector<RedisValue> values;
    whole.feed(text);
    take(whole, values);
    RedisReader cut;
    std::vector<RedisValue> in_cuts;
    weir::test::in_pieces(text, [&](std::string_view piece) {
        cut.feed(piece);
        take(cut, in_cuts);
    });
    // What is malformed may show later in pieces, but never takes back what was read.
    for (std::size_t i = 0; i < std::min(values.size(), in_cuts.size()); ++i) {
        promise(same(values[i], in_cuts[i]), "the same values in every cut");
    }
    if (!whole.malformed() && !cut.malformed())
        promise(values.size() == in_cuts.size(), "as many values in every cut");
    for (const RedisValue& value : in_cuts) check_answer(value);
    return 0;
}
