// A plain, blocking HTTP/1.1 client for tests: bytes out, bytes in, with no opinion on either. It
// shares no code with the product.
//
// Thread safety: none. Errors throw std::runtime_error.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace weir::test {

/// An answer, taken apart no further than a test needs.
struct HttpAnswer {
    unsigned status = 0;
    std::string head;  ///< the status line and the fields, with the empty line
    std::string body;  ///< decoded if it was chunked

    /// The value of a field by its name in lower case; empty if it is not there.
    std::string field(std::string_view name) const;
};

/// A connection to 127.0.0.1.
class HttpClient {
 public:
    explicit HttpClient(std::uint16_t port);
    ~HttpClient();
    HttpClient(const HttpClient&) = delete;
    HttpClient& operator=(const HttpClient&) = delete;

    /// Sends bytes as they are.
    void send(std::string_view bytes);

    /// Sends a request with its Host and Content-Length. `fields` are whole lines, each ending in "\r\n".
    void ask(std::string_view method, std::string_view target, std::string_view body = {},
             std::string_view fields = {});

    /// Reads one answer, by its Content-Length, its chunks or its connection's end. Answers of 1xx are
    /// passed over.
    HttpAnswer answer();

    /// Everything until the other side closes.
    std::string read_to_end();

    /// Sends the end of our side.
    void half_close();

    /// Waits until the other side has closed. False if bytes come instead.
    bool is_closed();

 private:
    bool read_more();
    std::string read_line();
    std::string read_bytes(std::size_t count);
    std::string read_chunks();

    int socket_;
    std::string pending_;
};

/// One request over a connection of its own.
HttpAnswer fetch(std::uint16_t port, std::string_view method, std::string_view target,
                 std::string_view body = {}, std::string_view fields = {});

}  // namespace weir::test
