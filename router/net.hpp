// The few Asio types that Weir's I/O is written in. One thread runs one io_context, and everything
// that was made for it belongs to that thread; processes are the way to use more cores.
#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <chrono>

namespace weir::router {

namespace asio = boost::asio;

/// The concrete executor, not any_io_executor: no virtual call and no reference count for each step.
using Executor = asio::io_context::executor_type;
using Tcp = asio::ip::tcp;
using Socket = asio::basic_stream_socket<Tcp, Executor>;
using Timer = asio::basic_waitable_timer<std::chrono::steady_clock,
                                         asio::wait_traits<std::chrono::steady_clock>, Executor>;
using ErrorCode = boost::system::error_code;

/// A coroutine on one thread's io_context.
template <class T>
using Task = asio::awaitable<T, Executor>;

/// Awaits an operation in place, its error code returned as a value: nothing throws between accept
/// and settle.
inline constexpr auto kAwait = asio::as_tuple(asio::deferred);

}  // namespace weir::router
