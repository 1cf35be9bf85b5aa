#include "loadtest/tally.hpp"

#include <numeric>

namespace weir::loadtest {

std::string_view name_of(Outcome outcome) noexcept {
    switch (outcome) {
        case Outcome::success: return "success";
        case Outcome::refused: return "refused";
        case Outcome::unauthorized: return "unauthorized";
        case Outcome::client_error: return "client_error";
        case Outcome::server_error: return "server_error";
        case Outcome::odd_answer: return "odd_answer";
        case Outcome::timeout: return "timeout";
        case Outcome::connect_failed: return "connect_failed";
        case Outcome::connection_lost: return "connection_lost";
    }
    return "unknown";
}

Outcome outcome_of_status(unsigned status) noexcept {
    if (status >= 200 && status < 300) return Outcome::success;
    if (status == 429) return Outcome::refused;
    if (status == 401 || status == 403) return Outcome::unauthorized;
    if (status >= 400 && status < 500) return Outcome::client_error;
    if (status >= 500 && status < 600) return Outcome::server_error;
    return Outcome::odd_answer;
}

void Tally::add(const Tally& other) noexcept {
    for (std::size_t i = 0; i < counts.size(); ++i) counts[i] += other.counts[i];
}

std::uint64_t Tally::total() const noexcept {
    return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
}

std::uint64_t Tally::uncertain() const noexcept {
    return of(Outcome::server_error) + of(Outcome::odd_answer) + of(Outcome::timeout) +
           of(Outcome::connection_lost);
}

}  // namespace weir::loadtest
