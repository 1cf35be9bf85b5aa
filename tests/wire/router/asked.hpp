// One request of a test's own, when what Router::complete returns does not show enough.
#pragma once

#include <string>
#include <utility>
#include <variant>

#include "rig.hpp"
#include "router/call.hpp"
#include "router/request.hpp"

namespace weir::router::test {

/// A Call of its own, with what it refers to, for what complete() does not show.
struct Asked {
    Asked(Rig& rig, std::string question, Request options = {})
        : body(std::move(question)),
          facts(std::get<RequestFacts>(read_request(body))),
          call(rig.router(), filled(options)) {}

    Request filled(Request options) {
        options.body = body;
        options.facts = &facts;
        return options;
    }
    /// To the end of the answer, or until it breaks off; all that came.
    Task<TransportError> read_all() {
        co_await begin();
        co_return co_await read_on();
    }
    /// To the head of the answer; whether there is one.
    Task<bool> begin() {
        co_await call.start();
        co_return call.error() == nullptr;
    }
    Task<TransportError> read_on() {
        auto failure = TransportError::none;
        while (call.error() == nullptr) {
            for (const auto& piece : call.pieces()) {
                text.append(static_cast<const char*>(piece.data()), piece.size());
            }
            if (call.answer().done()) break;
            failure = co_await call.next();
            if (failure != TransportError::none) break;
        }
        co_return failure;
    }

    std::string body;
    RequestFacts facts;
    Call call;
    std::string text;
};

}  // namespace weir::router::test
