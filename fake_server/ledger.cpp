#include "fake_server/ledger.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>

namespace weir::fake_server {
namespace {

constexpr std::size_t kNamesMax = 65'536;
constexpr const char* kVerdicts[] = {"accepted", "refused", "failed"};
constexpr const char* kEnds[] = {"running", "complete", "client_gone", "cut"};

std::string escaped(std::string_view text) {
    using Json = nlohmann::json;
    return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

std::uint32_t Names::id(std::string_view text) {
    if (const auto found = ids_.find(text); found != ids_.end()) return found->second;
    const auto next = static_cast<std::uint32_t>(json_.size());
    if (next > kNamesMax) return next - 1;
    const std::string_view kept = next == kNamesMax ? std::string_view("(other)") : text;
    ids_.emplace(kept, next);
    json_.push_back(escaped(kept));
    return next;
}

void Names::clear() {
    ids_.clear();
    json_.clear();
}

void Ledger::count(const Arrival& arrival) {
    ++verdicts_[static_cast<std::size_t>(arrival.verdict)];
    ++ends_[static_cast<std::size_t>(End::running)];
    ++by_status_[arrival.status];
    prompt_tokens_ += arrival.prompt_tokens;
    completion_tokens_ += arrival.completion_tokens;
}

std::uint64_t Ledger::arrived(const Arrival& arrival) {
    count(arrival);
    const Entry entry{.at = arrival.at,
                      .connection = arrival.connection,
                      .prompt_tokens = arrival.prompt_tokens,
                      .completion_tokens = arrival.completion_tokens,
                      .remote = names_.id(arrival.remote),
                      .path = names_.id(arrival.path),
                      .model = names_.id(arrival.model),
                      .status = static_cast<std::uint16_t>(arrival.status),
                      .verdict = arrival.verdict,
                      .end = End::running,
                      .stream = arrival.stream};
    const std::uint64_t seq = next_++;
    const std::size_t slot = (seq - 1) % entries_max_;
    if (slot >= entries_.size()) entries_.resize(slot + 1);
    entries_[slot] = entry;
    if (next_ - first_ > entries_max_) ++first_;
    return seq;
}

void Ledger::ended(std::uint64_t seq, End end, std::int64_t monotonic_ns) {
    if (seq < cleared_at_ || seq >= next_) return;
    --ends_[static_cast<std::size_t>(End::running)];
    ++ends_[static_cast<std::size_t>(end)];
    if (seq < first_) return;
    Entry& kept = entries_[(seq - 1) % entries_max_];
    kept.end = end;
    kept.end_monotonic_ns = monotonic_ns;
}

std::uint64_t Ledger::clear() {
    const std::uint64_t arrivals = next_ - cleared_at_;
    first_ = cleared_at_ = next_;
    names_.clear();
    verdicts_ = {};
    ends_ = {};
    by_status_.clear();
    prompt_tokens_ = completion_tokens_ = 0;
    return arrivals;
}

void Ledger::append_summary(std::string& json) const {
    fmt::format_to(std::back_inserter(json), R"("summary":{{"arrivals":{})", next_ - cleared_at_);
    for (std::size_t i = 0; i < verdicts_.size(); ++i) {
        fmt::format_to(std::back_inserter(json), R"(,"{}":{})", kVerdicts[i], verdicts_[i]);
    }
    for (std::size_t i = 0; i < ends_.size(); ++i) {
        fmt::format_to(std::back_inserter(json), R"(,"{}":{})", kEnds[i], ends_[i]);
    }
    fmt::format_to(std::back_inserter(json),
                   R"(,"prompt_tokens":{},"completion_tokens":{},"total_tokens":{},"dropped":{})",
                   prompt_tokens_, completion_tokens_, prompt_tokens_ + completion_tokens_,
                   first_ - cleared_at_);
    json += R"(,"by_status":{)";
    const char* comma = "";
    for (const auto& [status, arrivals] : by_status_) {
        fmt::format_to(std::back_inserter(json), R"({}"{}":{})", comma, status, arrivals);
        comma = ",";
    }
    json += "}}";
}

void Ledger::append_entry(std::string& json, std::uint64_t seq) const {
    const Entry& kept = entry(seq);
    fmt::format_to(
        std::back_inserter(json),
        R"({{"seq":{},"monotonic_ns":{},"unix_ns":{},"connection":{},"remote":{},"path":{},)"
        R"("model":{},"stream":{},"verdict":"{}","status":{},"prompt_tokens":{},)"
        R"("completion_tokens":{},"end":"{}","end_monotonic_ns":{}}})",
        seq, kept.at.monotonic_ns, kept.at.unix_ns, kept.connection, names_.json(kept.remote),
        names_.json(kept.path), names_.json(kept.model), kept.stream,
        kVerdicts[static_cast<std::size_t>(kept.verdict)], kept.status, kept.prompt_tokens,
        kept.completion_tokens, kEnds[static_cast<std::size_t>(kept.end)], kept.end_monotonic_ns);
}

void Ledger::append_arrivals(std::string& json, std::uint64_t since, std::size_t count_max) const {
    json += R"("arrivals":[)";
    const std::uint64_t from = since < first_ ? first_ : since + 1;
    for (std::uint64_t seq = from; seq < next_ && seq - from < count_max; ++seq) {
        if (seq != from) json += ',';
        append_entry(json, seq);
    }
    json += ']';
}

}  // namespace weir::fake_server
