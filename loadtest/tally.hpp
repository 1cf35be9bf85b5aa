// What became of requests, counted by kind.
//
// Thread safety: values.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace weir::loadtest {

/// What became of one request, as its sender saw it.
enum class Outcome : std::uint8_t {
    success,          ///< 2xx
    refused,          ///< 429
    unauthorized,     ///< 401, 403
    client_error,     ///< any other 4xx
    server_error,     ///< 5xx
    odd_answer,       ///< 1xx, 3xx, or bytes that are no HTTP answer
    timeout,          ///< no answer in the time allowed
    connect_failed,   ///< nobody listened: the request was never sent
    connection_lost,  ///< broken off after the request was sent, at least in part
};

inline constexpr std::size_t kOutcomes = 9;

/// "success", "refused", … as the report and its JSON name it.
std::string_view name_of(Outcome outcome) noexcept;

/// By the status line of an answer.
Outcome outcome_of_status(unsigned status) noexcept;

/// Counts of outcomes. Trivially copyable, so that it can go through a pipe.
struct Tally {
    std::array<std::uint64_t, kOutcomes> counts{};

    void add(Outcome outcome, std::uint64_t n = 1) noexcept { counts[index(outcome)] += n; }
    void add(const Tally& other) noexcept;

    std::uint64_t of(Outcome outcome) const noexcept { return counts[index(outcome)]; }
    std::uint64_t successes() const noexcept { return of(Outcome::success); }
    std::uint64_t refusals() const noexcept { return of(Outcome::refused); }
    std::uint64_t total() const noexcept;

    /// Neither a success nor a refusal.
    std::uint64_t errors() const noexcept { return total() - successes() - refusals(); }

    /// Errors that leave open whether a limiter had admitted the request: it may have reached the
    /// upstream and the answer been lost, or it died on the way between the two.
    std::uint64_t uncertain() const noexcept;

 private:
    static constexpr std::size_t index(Outcome outcome) noexcept {
        return static_cast<std::size_t>(outcome);
    }
};

}  // namespace weir::loadtest
