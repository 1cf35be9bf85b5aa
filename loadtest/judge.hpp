// The verdict: whether a limit of so many requests per window held, and whether what it allows was
// given out. A function from recorded times to findings.
//
// The arithmetic, with W the window. A limiter of Weir admits at most L in any interval of length W,
// and its window covers between W and W + W/62 (shm/window.hpp), so that a unit comes back no sooner
// than W and no later than W + W/62 after it was taken. Neither a sender nor an upstream sees the
// moment of admission; both bound it:
//
//   * A success of a batch was admitted between the batch's start and its end. So batches i..j with
//     end_j - start_i < W may have L successes together and no more.
//   * An arrival at x was admitted at x or before: not more than `transit` before x, and not before the
//     start of the first batch with end + transit >= x, for those before were over by then. Call the
//     later of these two earliest(x). Arrivals x_i <= … <= x_j with x_j - earliest(x_i) < W were all
//     admitted within less than W.
//   * A refusal in a batch was just if L units had been admitted and not come back: among all that
//     can have been admitted between start - W - W/62 and the batch's end there must be L. Requests
//     that ended in an error which leaves open whether they were admitted count as if they were.
//
// Batches may overlap, as the slices of an open loop do.
//
// Under a limit on tokens a request is charged an estimate before it is sent, and what its answer used
// afterwards. Both are known of a load whose answers use the same number of tokens each, so the last rule
// counts tokens there:
//
//   * A refusal in a batch was just if the tokens of a window can have been reserved or used: `answer_tokens`
//     by each arrival whose batch was over, as much as a running request may reserve by each other one and by
//     the one that was refused. That is `answer_tokens` and kUnknownCompletion on top as long as no batch
//     before has had a success, from which the length of answers is learned; and half of it on top later.
//
// Every rule errs on the side of the accused: what it reports is proven by the times alone. Short
// batches make it sharp. Otherwise only the rate of units is judged; each request counts as one.
//
// Thread safety: pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "loadtest/batch.hpp"
#include "loadtest/ledger.hpp"

namespace weir::loadtest {

struct Rules {
    Nanos window = std::chrono::seconds(60);
    std::optional<std::uint64_t> expect;  ///< successes per window over all; exact, both ways
    std::optional<std::uint64_t> limit;   ///< successes per window over all that may not be exceeded
    std::optional<std::uint64_t> answer_tokens;  ///< that each answer uses; for limits on tokens
    Nanos transit = std::chrono::milliseconds(250);  ///< at most, from admission to the upstream
    std::string_view batch_word = "batch";           ///< as findings name one; of static storage
};

/// Of a ledger's limit, this share must have been admitted before a refusal is just. Not all of it:
/// other work may hold units for a moment that it then gives back.
inline constexpr std::uint64_t kUsedPercent = 98;

/// Tokens that a request reserves for its answer as long as nobody knows how long answers are
/// (docs/config.md).
inline constexpr std::uint64_t kUnknownCompletion = 1024;

/// The window may be longer than W by this part of it.
inline constexpr int kTicksPerWindow = 62;

enum class Fault : std::uint8_t {
    limit_broken,      ///< more were admitted in a window than the limit allows
    upstream_refused,  ///< an upstream refused: it held the number, not the limiter
    unused,            ///< requests were refused although there was room
    too_few,           ///< no window ever held what was expected
    nothing_judged,    ///< the run gave nothing to judge by
};

struct Finding {
    Fault fault = Fault::limit_broken;
    std::string text;  ///< one sentence with the figures
};

/// How many successes of a batch the times allow, given what happened before it.
struct Expected {
    std::uint64_t at_least = 0;
    std::uint64_t at_most = 0;
};

/// What a ledger shows of the run. Arrivals from before the run count only as part of a window that
/// ends within it.
struct LedgerSummary {
    std::string url;
    std::optional<std::uint64_t> limit;
    std::uint64_t accepted = 0;
    std::uint64_t refused = 0;
    std::uint64_t failed = 0;
    std::uint64_t fullest_window = 0;  ///< most arrivals in any interval shorter than W
    std::uint64_t proven = 0;          ///< most that were certainly admitted within less than W
};

struct Judgement {
    Tally total;
    std::uint64_t fullest_window = 0;  ///< most successes that were certainly admitted within W
    std::vector<Expected> expected;    ///< one for each batch; empty without `expect` and `limit`
    std::vector<LedgerSummary> ledgers;
    std::vector<Finding> findings;     ///< at most one for each fault and place

    bool held() const noexcept { return findings.empty(); }
};

/// How many successes batch `index` may and must have if `limit` is kept over all batches.
Expected expected_successes(std::span<const Batch> batches, std::size_t index, std::uint64_t limit,
                            Nanos window);

/// Judges a run. Neither the starts nor the ends of `batches` go down; the arrivals of each ledger are
/// sorted.
Judgement judge(std::span<const Batch> batches, std::span<const Ledger> ledgers, const Rules& rules);

}  // namespace weir::loadtest
