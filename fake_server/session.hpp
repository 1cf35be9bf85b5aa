// One connection: reads requests, lets the desk answer, performs the delivery.
//
// Thread safety: none; everything happens on the thread that runs the io_context.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "fake_server/delivery.hpp"
#include "fake_server/desk.hpp"
#include "fake_server/request_reader.hpp"

namespace weir::fake_server {

class Session {
 public:
    /// `desk` must outlive the session. `number` is the connection's, from 1.
    Session(boost::asio::ip::tcp::socket socket, Desk& desk, std::uint64_t number);

    /// Serves until either side ends the connection. The session must live until it returns.
    boost::asio::awaitable<void> run();

    /// Ends the connection: at once when it is idle, else after the answer at hand.
    void drain();

    /// Ends the connection at once.
    void abort();

 private:
    boost::asio::awaitable<bool> read_request();
    boost::asio::awaitable<bool> read_some();
    boost::asio::awaitable<End> send();
    boost::asio::awaitable<bool> write(std::string_view bytes);
    boost::asio::awaitable<bool> pause(std::int64_t ns);
    boost::asio::awaitable<void> finish();
    RequestReader::State feed();

    boost::asio::ip::tcp::socket socket_;
    boost::asio::steady_timer timer_;
    Desk& desk_;
    std::uint64_t number_;
    std::string remote_;
    RequestReader reader_;
    Delivery delivery_;
    std::string input_;  // bytes [begin_, end_) are not used yet
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
    Instant arrived_;   // when the first byte of the request at hand was read
    bool idle_ = true;  // between two requests
    bool draining_ = false;
};

}  // namespace weir::fake_server
