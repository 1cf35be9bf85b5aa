// Answers every request: the limit, the script, the errors by chance, the ledger. Everything but
// sockets and clocks.
//
// Thread safety: none.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <string_view>

#include "fake_server/answer.hpp"
#include "fake_server/delivery.hpp"
#include "fake_server/fixed_window.hpp"
#include "fake_server/instant.hpp"
#include "fake_server/ledger.hpp"
#include "fake_server/question.hpp"
#include "fake_server/request.hpp"
#include "fake_server/route.hpp"
#include "fake_server/script.hpp"

namespace weir::fake_server {

struct DeskOptions {
    FixedWindow::Options window;
    Pace pace;
    double error_rate = 0;   ///< share of the accepted requests that fail with 500
    std::uint64_t seed = 1;  ///< of the dice for error_rate
    Tokens tokens;
    std::size_t ledger_entries_max = 1'000'000;
    bool ratelimit_headers = false;  ///< tell remaining and reset as OpenAI does
};

/// Who asks.
struct Peer {
    std::uint64_t connection = 0;
    std::string_view remote;
};

class Desk {
 public:
    explicit Desk(const DeskOptions& options);

    /// Renders the answer to `request` into `delivery`. Returns the arrival's number in the ledger,
    /// or 0 for a request that is not entered there. Takes the contents of requests to model
    /// routes, for GET /__last.
    std::uint64_t handle(Request& request, const Peer& peer, Instant arrived, Instant now,
                         Delivery& delivery);

    /// Renders the answer to bytes that are no request; the connection ends with it.
    void refuse(std::string_view why, Delivery& delivery);

    /// Enters how the answer to arrival `seq` ended.
    void ended(std::uint64_t seq, End end, std::int64_t monotonic_ns) {
        ledger_.ended(seq, end, monotonic_ns);
    }

 private:
    std::uint64_t answer_model(Request& request, const Routed& routed, const Peer& peer,
                               Instant arrived, Delivery& delivery);
    Verdict decide(const Request& request, const Routed& routed, const Peer& peer,
                   std::int64_t now_ns);
    void choose_step();
    void fail_by_chance();
    void compose(const Request& request, Route route);
    void answer_own(const Request& request, Route route, Instant now);
    void answer_ledger(const Request& request, Instant now);
    void answer_script(const Request& request);
    void append_ratelimit(const FixedWindow::Verdict& verdict);

    DeskOptions options_;
    FixedWindow window_;
    Ledger ledger_;
    Script script_;
    QuestionReader reader_;
    std::mt19937_64 dice_;
    std::string ordinary_chat_;  // the body that nearly every answer has, rendered once
    Request last_;
    bool has_last_ = false;

    // Of the request at hand; kept for their buffers.
    Question question_;
    Answer answer_;
    Step step_;
    std::string step_error_;
};

}  // namespace weir::fake_server
