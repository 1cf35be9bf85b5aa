// The steps still to be played, one per request.
//
// Thread safety: none.
#pragma once

#include <cstddef>

#include "fake_server/step.hpp"

namespace weir::fake_server {

class Script {
 public:
    /// Replaces what was left.
    void load(Program program);

    void clear() { load({}); }

    /// The step for the next request, or nullptr when none is left. Valid until load() or clear().
    const Step* next();

    /// Requests that still meet a step before the list ends or begins again.
    std::size_t remaining() const;

    bool repeats() const noexcept { return program_.repeat; }

 private:
    Program program_;
    std::size_t at_ = 0;
    unsigned played_ = 0;  // how often the step at hand was given out
};

}  // namespace weir::fake_server
