// An HTTP/1.1 client of one server, with as many connections as requests under way, kept for later
// ones. Deliberately not the router's own: the proxy is tested by a peer that shares no code with it.
//
// It does not follow redirects, speak TLS, or send a request twice.
//
// Thread safety: none.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "loadtest/batch.hpp"
#include "router/net.hpp"
#include "router/url.hpp"

namespace weir::loadtest {

namespace asio = boost::asio;
using router::Task;

struct Answer {
    Outcome outcome = Outcome::odd_answer;
    unsigned status = 0;  ///< 0 if none came
    std::string body;
};

class Client {
 public:
    /// Looks the host up. Throws std::runtime_error if it has no address or `url` asks for TLS.
    Client(asio::io_context& io, const router::Url& url, std::string api_key, Nanos timeout);
    ~Client();

    /// Sends to the URL's path followed by `target`. Never throws for what a server can do: the
    /// outcome says it. Must outlive the call.
    Task<Answer> post(std::string_view target, std::string body);
    Task<Answer> get(std::string_view target);

    /// Closes the connections that no request is using.
    void close_idle() noexcept;

 private:
    struct Connection;
    using ConnectionPtr = std::shared_ptr<Connection>;

    std::string head(std::string_view method, std::string_view target, std::size_t body_bytes) const;
    Task<Answer> send(std::string request);
    Task<Answer> exchange(ConnectionPtr connection, std::string_view request);
    ConnectionPtr take_idle();

    asio::io_context& io_;
    router::Url url_;
    std::string api_key_;
    Nanos timeout_;
    std::vector<router::Tcp::endpoint> endpoints_;
    std::vector<ConnectionPtr> idle_;  // the last one was used last
};

}  // namespace weir::loadtest
