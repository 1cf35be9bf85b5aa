// A blocking HTTP/1.1 client that sends what a test writes, byte for byte, takes what comes, and gives up
// after a while. It shares no code with the product.
//
// Thread safety: none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace weir::test {

/// An answer as it came, taken apart no further than a test needs.
struct RawAnswer {
    unsigned status = 0;
    std::string head;    ///< the status line and the fields, with the empty line
    std::string body;    ///< its chunks are joined
    bool whole = false;  ///< it came to its end

    /// The value of a field, by its name in lower case; empty if it is not there.
    std::string field(std::string_view name) const;
    bool has(std::string_view name) const;
};

/// A connection to 127.0.0.1. What is waited for in vain is missing in what is returned.
class RawClient {
 public:
    /// Throws std::runtime_error if nobody listens. `receive_buffer` 0 is the system's size.
    explicit RawClient(std::uint16_t port, int receive_buffer = 0);
    ~RawClient() { leave(); }
    RawClient(RawClient&& other) noexcept
        : fd_(std::exchange(other.fd_, -1)),
          pending_(std::move(other.pending_)),
          ended_(other.ended_),
          error_(other.error_) {}
    RawClient(const RawClient&) = delete;
    RawClient& operator=(const RawClient&) = delete;

    void leave();
    void half_close();

    /// Leaves by RST.
    void reset();

    /// False if the peer does not take it.
    bool send(std::string_view bytes);

    /// Sends a request; `lines` are further fields, each with its end.
    void ask(std::string_view method, std::string_view target, std::string_view body = {},
             std::string_view lines = {});

    /// Until `count` bytes are there, or the end.
    std::string read(std::size_t count);
    std::string read_all() { return read(std::string::npos); }

    /// Until `end` has come, which is taken too; all there is if it does not come.
    std::string read_until(std::string_view end);

    /// One answer, in chunks, with a length, or until the end. One of 1xx is one, too.
    RawAnswer answer();

    RawAnswer post(std::string_view target, std::string_view body, std::string_view lines = {}) {
        ask("POST", target, body, lines);
        return answer();
    }
    RawAnswer get(std::string_view target, std::string_view lines = {}) {
        ask("GET", target, {}, lines);
        return answer();
    }

    int descriptor() const noexcept { return fd_; }

    /// Whether the peer ended the connection; `error` is ECONNRESET if it did by RST.
    bool ended() { return read(1).empty() && ended_; }
    int error() const noexcept { return error_; }

 private:
    bool more();
    bool read_chunks(std::string& body);

    int fd_;
    std::string pending_;
    bool ended_ = false;
    int error_ = 0;
};

/// One request over a connection of its own. Throws std::runtime_error if nobody listens or no whole answer
/// comes.
RawAnswer fetch(std::uint16_t port, std::string_view method, std::string_view target,
                std::string_view body = {}, std::string_view lines = {});

}  // namespace weir::test
