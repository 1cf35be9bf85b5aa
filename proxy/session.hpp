// A client's connection: one request after the other, each read, routed, answered.
//
// This is the driver: it waits for sockets and moves bytes. What to answer is decided by pure parts
// (route, keys, response) and by the router.
//
// Thread safety: none.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/access_log.hpp"
#include "proxy/keys.hpp"
#include "proxy/metrics.hpp"
#include "proxy/request_id.hpp"
#include "proxy/response.hpp"
#include "proxy/route.hpp"
#include "router/call.hpp"
#include "router/connection.hpp"
#include "router/http_parser.hpp"
#include "router/router.hpp"

namespace weir::proxy {

/// What a configuration makes. A reload makes another; requests under way end with theirs.
struct Setup {
    Setup(router::asio::io_context& io, const router::RouterConfig& config,
          const router::RouterOptions& options)
        : router(io, config, options),
          keys(router.config(), router.segment()),
          metrics(router.segment()) {
        router.start();
    }
    router::Router router;
    Keys keys;
    Metrics metrics;
};

/// What the sessions of one process share; outlives them.
struct Service {
    router::Pulse pulse;
    std::shared_ptr<Setup> setup;
    AccessLog log;
    IdSource ids;
    bool draining = false;     ///< no further request on a connection after the present one
};

/// How long a client may take for each thing, and how much it may send.
struct SessionLimits {
    static constexpr shm::Nanos kIdle = std::chrono::seconds(75);   ///< between two requests
    static constexpr shm::Nanos kHead = std::chrono::seconds(15);   ///< from its first byte on
    static constexpr shm::Nanos kBody = std::chrono::seconds(30);   ///< between two pieces of it
    static constexpr shm::Nanos kWrite = std::chrono::seconds(60);  ///< to take a piece of an answer
    static constexpr shm::Nanos kHalfClosed = std::chrono::seconds(2);  ///< for the head of its answer
    static constexpr std::uint32_t kHeadBytesMax = 32u << 10;
};

class Session : public std::enable_shared_from_this<Session> {
 public:
    Session(Service& service, router::Socket socket);

    /// Serves the connection until either side ends it.
    router::Task<void> run();

    /// Ends it at once if it is idle, or else after the present request.
    void drain() noexcept;

 private:
    enum class Read : std::uint8_t { request, end, bad };

    router::Task<Read> read_request();
    router::Task<Read> read_head(router::HttpParser<true>& parser);
    router::Task<Read> read_body(router::HttpParser<true>& parser);
    bool take_body();
    router::Task<void> answer_request();
    router::Task<void> answer_known(const Route& route, const Identity& identity);
    router::Task<void> forward(const Route& route, const Identity& identity);
    std::optional<router::RequestFacts> read_facts(const Route& route, router::ApiError& error);
    router::Task<void> send(router::Request& request, const Identity& identity);
    void append_own_fields(HeadWriter& head, const router::Call& call);
    void take_note(const router::Call& call);
    void finish_request();
    router::Task<void> relay(router::Call& call);
    router::Task<bool> write_pieces(router::Call& call, bool chunked);
    router::Task<void> break_off(router::Call& call, router::TransportError failure, bool chunked);
    router::Task<bool> write_out();
    router::Task<void> write(const PlainAnswer& answer);
    router::Task<void> refuse(unsigned status, std::string message, std::string param);
    router::Task<void> linger();
    void client_left(router::Connection::PeerGone how) noexcept;

    /// Gives up the call of a client that has closed its side, unless its answer begins soon.
    class Grace : public router::Waiter {
     public:
        explicit Grace(Session& session) : session_(session) {}

     private:
        void on_deadline() noexcept override;
        Session& session_;
    };

    Service& service_;
    std::shared_ptr<Setup> setup_;  // of the present request
    router::Connection connection_;
    Grace grace_;
    router::MessageHead head_;
    std::vector<router::asio::const_buffer> pieces_;
    std::string body_;
    std::string out_;
    router::RequestReader reader_;
    CallerScopes caller_;
    Served served_;
    std::string deployment_id_;  // what Served refers to may go before it is logged
    shm::Nanos began_{};         // the head of the present request was there
    router::Call* call_ = nullptr;  // the one that is being answered
    bool idle_ = true;
    bool keep_alive_ = false;
    bool answer_begun_ = false;
};

}  // namespace weir::proxy
