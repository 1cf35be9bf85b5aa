// How one process wakes another whose requests wait: an empty datagram to a socket in the abstract
// namespace, which the kernel takes away with its process.
//
// A ring carries nothing: who hears it looks into the segment. So one that is lost, or comes from a
// stranger, does no harm but for the time it takes; and where processes that share a segment do not share
// a network namespace, no ring arrives and they find out by looking again.
//
// Thread safety: none; it belongs to the thread of its io_context.
#pragma once

#include <boost/asio/basic_datagram_socket.hpp>
#include <boost/asio/local/datagram_protocol.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "router/net.hpp"

namespace weir::router {

class Doorbell {
 public:
    /// Number `own` of those who share `house`; the numbers tell them apart. `on_ring` is called while
    /// it listens, once for all rings that have come.
    Doorbell(asio::io_context& io, std::string house, std::uint32_t own, std::function<void()> on_ring);
    /// With no number yet: it can ring, and nobody can ring it.
    Doorbell(asio::io_context& io, std::string house, std::function<void()> on_ring);
    ~Doorbell();
    Doorbell(const Doorbell&) = delete;
    Doorbell& operator=(const Doorbell&) = delete;

    /// Takes the number `own`, which it must not have yet. False if that is not possible.
    bool hang(std::uint32_t own);

    /// Only while it listens does it keep the io_context from running out of work.
    void listen();
    void ignore() noexcept;

    /// Rings at number `who`; if nobody is there, nothing happens.
    void ring(std::uint32_t who) noexcept;

 private:
    using Protocol = asio::local::datagram_protocol;

    Protocol::endpoint address(std::uint32_t who) const;
    void await_ring();
    void hear();

    asio::basic_datagram_socket<Protocol, Executor> socket_;
    std::string house_;
    std::function<void()> on_ring_;
    bool there_ = false;      // it has its address
    bool listening_ = false;
    bool awaiting_ = false;   // its handler is still to come
    std::shared_ptr<Doorbell*> self_ = std::make_shared<Doorbell*>(this);  // null once it is gone
};

}  // namespace weir::router
