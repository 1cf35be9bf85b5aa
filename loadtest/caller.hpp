// What a load is sent to: proxies over HTTP, or routers within this process.
//
// Thread safety: none; a caller belongs to the thread of its io_context.
#pragma once

#include <string>

#include "loadtest/tally.hpp"
#include "router/net.hpp"

namespace weir::loadtest {

namespace asio = boost::asio;
using router::Task;

class Caller {
 public:
    Caller() = default;
    Caller(const Caller&) = delete;
    Caller& operator=(const Caller&) = delete;
    virtual ~Caller() = default;

    /// Sends one chat completion and waits for what becomes of it. Any number at the same time.
    virtual Task<Outcome> call(std::string body) = 0;

    /// Lets the io_context run out of work once no call is under way.
    virtual void stop() noexcept = 0;
};

}  // namespace weir::loadtest
