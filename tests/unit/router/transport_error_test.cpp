#include "router/transport_error.hpp"

#include <catch2/catch.hpp>

#include <set>
#include <string>

using namespace weir::router;

namespace {

constexpr TransportError kAll[] = {
    TransportError::none,   TransportError::resolve,         TransportError::connect,
    TransportError::tls,    TransportError::connect_timeout, TransportError::closed,
    TransportError::broken, TransportError::stalled,         TransportError::first_byte_timeout,
    TransportError::malformed, TransportError::pool_full,    TransportError::overran};

}  // namespace

TEST_CASE("every failure of an upstream has words of its own") {
    std::set<std::string> texts;
    for (const TransportError error : kAll) texts.insert(std::string(to_string(error)));
    CHECK(texts.size() == std::size(kAll));
    CHECK(texts.count("unknown") == 0);
    CHECK(to_string(static_cast<TransportError>(200)) == "unknown");
}

TEST_CASE("a request that was never sent cannot have arrived, and every other may have") {
    for (const TransportError error : {TransportError::resolve, TransportError::connect, TransportError::tls,
                                       TransportError::connect_timeout, TransportError::pool_full}) {
        CHECK_FALSE(may_have_arrived(error));
    }
    for (const TransportError error : {TransportError::closed, TransportError::first_byte_timeout,
                                       TransportError::stalled, TransportError::broken,
                                       TransportError::overran, TransportError::malformed}) {
        CHECK(may_have_arrived(error));
    }
}
