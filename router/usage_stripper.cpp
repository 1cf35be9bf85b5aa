#include "router/usage.hpp"

namespace weir::router {
namespace {

/// A usage-only event is some 300 bytes; one that grows beyond this is something else.
constexpr std::size_t kHeldMax = 16u << 10;

}  // namespace

std::string_view UsageStripper::feed(std::string_view bytes) {
    out_.clear();
    std::size_t sent = 0;  // bytes[0, sent) are in out_, or dropped
    std::size_t at = 0;
    bool untouched = held_.empty();  // nothing dropped or held back: no copy is needed
    while (at < bytes.size()) {
        bool ended = false;
        const auto begin = at;
        at += scanner_.feed_event(bytes.substr(at), ended);
        if (ended) {
            if (!passing_ && scanner_.last_was_usage_only()) {
                out_.append(bytes, sent, begin - sent);
                held_.clear();
                sent = at;
                untouched = false;
            } else if (!held_.empty()) {
                out_ += held_;  // an event held back is the first of a piece: nothing else is in
                                // out_ yet
                held_.clear();
            }
            passing_ = false;
            continue;
        }
        passing_ =
            passing_ || scanner_.event_has_choices() || held_.size() + (at - begin) > kHeldMax;
        if (passing_) {
            out_ += held_;
            held_.clear();
            continue;
        }
        out_.append(bytes, sent, begin - sent);
        held_.append(bytes, begin, at - begin);
        sent = at;
        untouched = false;
    }
    if (untouched) return bytes;
    out_.append(bytes, sent);
    return out_;
}

std::string_view UsageStripper::finish() {
    out_.swap(held_);
    held_.clear();
    passing_ = false;
    return out_;
}

}  // namespace weir::router
