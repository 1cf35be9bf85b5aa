#include "fake_server/script.hpp"

#include <utility>

namespace weir::fake_server {

void Script::load(Program program) {
    program_ = std::move(program);
    at_ = 0;
    played_ = 0;
}

const Step* Script::next() {
    if (at_ < program_.steps.size() && played_ == program_.steps[at_].times) {
        ++at_;
        played_ = 0;
    }
    if (at_ == program_.steps.size()) {
        if (!program_.repeat || program_.steps.empty()) return nullptr;
        at_ = 0;
    }
    ++played_;
    return &program_.steps[at_];
}

std::size_t Script::remaining() const {
    std::size_t left = 0;
    for (std::size_t i = at_; i < program_.steps.size(); ++i) left += program_.steps[i].times;
    return left - played_;
}

}  // namespace weir::fake_server
