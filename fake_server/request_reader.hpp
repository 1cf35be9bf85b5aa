// Reads requests out of the bytes of a connection; Beast's parser does the work, without a socket.
//
// Thread safety: none.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "fake_server/request.hpp"

namespace weir::fake_server {

class RequestReader {
 public:
    enum class State {
        more,      ///< the request is not complete; read and feed more
        complete,  ///< request() is whole; call next() before feeding on
        bad,       ///< not HTTP, or over a limit: see error(); the connection is lost
    };

    struct Limits {
        std::size_t header_bytes_max = std::size_t{256} << 10;
        std::size_t body_bytes_max = std::size_t{256} << 20;
    };

    explicit RequestReader(const Limits& limits);
    ~RequestReader();
    RequestReader(const RequestReader&) = delete;
    RequestReader& operator=(const RequestReader&) = delete;

    /// Takes what it can use from the front of `bytes`; the rest must be fed again with more
    /// behind.
    State feed(std::string_view& bytes);

    /// Whether the sender waits for an interim answer before it sends its body. True once.
    bool take_continue();

    /// Whether any byte of the request at hand was seen.
    bool begun() const noexcept { return begun_; }

    Request& request() noexcept { return request_; }
    const std::string& error() const noexcept { return error_; }

    /// Makes ready for the next request; the buffers keep their capacity.
    void next();

 private:
    class Parser;

    Limits limits_;
    Request request_;
    std::string error_;
    std::unique_ptr<Parser> parser_;
    bool begun_ = false;
    bool continue_taken_ = false;
};

}  // namespace weir::fake_server
