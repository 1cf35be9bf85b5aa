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

#include "proxy/answer_writer.hpp"
#include "proxy/intake.hpp"
#include "proxy/route.hpp"
#include "proxy/service.hpp"
#include "router/call.hpp"
#include "router/connection.hpp"

namespace weir::proxy {

class Session : public std::enable_shared_from_this<Session> {
 public:
    /// `service` must outlive it.
    Session(Service& service, router::Socket socket);

    /// Serves the connection until either side ends it.
    router::Task<void> run();

    /// For one connection too many: answers its first request with 503, whatever it is.
    router::Task<void> turn_away();

    /// Ends it at once if it is idle, or else after the present request.
    void drain() noexcept;

 private:
    router::Task<bool> greet();
    router::Task<Intake::Result> read_request();
    void begin_answer(bool sound);
    router::Task<void> answer_request();
    router::Task<void> answer_unknown(const Route& route);
    router::Task<void> answer_known(const Route& route, const Identity& identity);
    PlainAnswer describe_model(const std::string& name, const Identity& identity) const;
    router::Task<void> forward(const Route& route, const Identity& identity);
    std::optional<router::RequestFacts> read_facts(const Route& route, std::string_view form_type,
                                                   router::ApiError& error);
    bool heed_head(router::RequestFacts& facts, router::ApiError& error) const;
    std::optional<router::ApiError> check_models(const Identity& identity,
                                                 const router::RequestFacts& facts) const;
    bool find_scopes(const Identity& identity, std::string_view group, std::string_view end_user);
    router::Task<void> send(router::Request& request, const Identity& identity);
    router::Task<void> answer_call(router::Call& call);
    router::Task<void> write(const PlainAnswer& answer);
    router::Task<void> linger();
    void append_id(HeadWriter& head) const;
    void append_call(HeadWriter& head, const router::Call& call) const;
    void take_note(const router::Call& call);
    void finish_request();
    void client_left(router::Connection::PeerGone how) noexcept;
    const router::ClientSettings& limits() const noexcept;

    /// Gives up the call of a client that has closed its side, unless its answer begins soon.
    class Grace : public router::Waiter {
     public:
        explicit Grace(Session& session) : session_(session) {}

     private:
        void on_deadline() noexcept override;
        Session& session_;
    };

    Service& service_;
    std::shared_ptr<Setup> setup_;  // of the present request; null between two of them
    router::Connection connection_;
    Intake intake_;
    AnswerWriter answer_;
    Grace grace_;
    router::RequestReader reader_;
    LastDigest last_key_;
    CallerScopes caller_;
    Served served_;
    std::string lowered_;  // options of the request that asked for more than its key may
    std::string own_fields_;        // of the present answer's head, as lines
    std::string deployment_id_;     // what Served refers to may go before it is logged
    shm::Nanos began_{};            // the head of the present request was there
    router::Call* call_ = nullptr;  // the one that is being answered
    bool greeting_ = false;         // a TLS handshake is under way
    bool client_gone_ = false;      // and was given up for it
};

}  // namespace weir::proxy
