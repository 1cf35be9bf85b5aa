// An answer as the bytes of a connection, with the places to pause at and the way to end: all that
// a script can ask for, decided before the first byte leaves.
//
// Thread safety: pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "fake_server/answer.hpp"
#include "fake_server/request.hpp"
#include "fake_server/step.hpp"

namespace weir::fake_server {

/// Waits `ns` before byte `before` of the wire is sent.
struct Pause {
    std::size_t before = 0;
    std::int64_t ns = 0;
};

enum class Finish : std::uint8_t {
    keep,   ///< read the next request
    close,  ///< FIN
    reset,  ///< RST, which throws away what the client has not read yet
};

struct Delivery {
    std::string wire;
    std::vector<Pause> pauses;  ///< ascending by place
    Finish finish = Finish::keep;
    bool cut = false;  ///< the answer is not whole, on purpose

    void clear();
};

/// Delays that every answer has, scripted or not.
struct Pace {
    std::int64_t latency_ns = 0;
    std::int64_t event_delay_ns = 0;
};

/// Renders `answer` to `request` as `step` would have it.
void deliver(const Answer& answer, const Step& step, const Pace& pace, const Request& request,
             Delivery& delivery);

}  // namespace weir::fake_server
