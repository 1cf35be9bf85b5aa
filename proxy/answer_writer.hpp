// Writes the answers to a client: whole ones, and those that are relayed as they come.
//
// Thread safety: none.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "proxy/response.hpp"
#include "proxy/served.hpp"
#include "router/call.hpp"
#include "router/connection.hpp"

namespace weir::proxy {

class AnswerWriter {
 public:
    /// `connection` must outlive it.
    explicit AnswerWriter(router::Connection& connection) : connection_(connection) {}
    AnswerWriter(const AnswerWriter&) = delete;
    AnswerWriter& operator=(const AnswerWriter&) = delete;

    /// What is to be known of the request that is answered next.
    struct Terms {
        bool keep_alive = false;     ///< another request may follow on this connection
        bool head_only = false;      ///< the answer to HEAD
        bool chunks = true;          ///< the client knows them: HTTP/1.1
        shm::Nanos write_timeout{};  ///< for the client to take a piece
        shm::Nanos began{};          ///< the head of the request was there
    };
    void begin(const Terms& terms) noexcept;

    /// An answer that is there as a whole, with `own_fields` (lines) in its head. Notes what was
    /// served in `served`.
    router::Task<void> write(const PlainAnswer& answer, std::string_view own_fields,
                             Served& served);

    /// `call`'s answer as it comes. Reading waits for writing, so a slow client slows its upstream.
    router::Task<void> relay(router::Call& call, std::string_view own_fields, Served& served);

    /// Whether anything of the present answer may have been written.
    bool begun() const noexcept { return begun_; }

    /// Whether the connection is still good for another request.
    bool keep_alive() const noexcept { return terms_.keep_alive; }

    /// The connection ends with the present answer.
    void end_connection() noexcept { terms_.keep_alive = false; }

 private:
    void append_end(HeadWriter& head) const;
    bool append_relayed_head(const router::Call& call, std::string_view own_fields);
    router::Task<bool> write_pieces(router::Call& call, bool chunked, Served& served);
    router::Task<void> break_off(router::Call& call, router::TransportError failure, bool chunked);
    router::Task<bool> write_out();

    router::Connection& connection_;
    Terms terms_;
    std::string out_;                                 // head, or what else is not the upstream's
    std::vector<router::asio::const_buffer> pieces_;  // to be written in one go
    bool begun_ = false;
};

}  // namespace weir::proxy
