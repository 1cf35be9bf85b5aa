// One line for each request, as text or JSON: no prompts, no answers, no keys.
//
// Lines are gathered and written a few times a second, so logging costs no system call per request.
// A process that is killed takes the lines of its last moment with it.
//
// Thread safety: none.
#pragma once

#include <cstdint>
#include <string>

#include "proxy/served.hpp"

namespace weir::proxy {

enum class LogFormat : std::uint8_t { off, text, json };

class AccessLog {
 public:
    /// Writes to `descriptor`, which stays open.
    AccessLog(LogFormat format, int descriptor) : format_(format), descriptor_(descriptor) {}
    ~AccessLog() { flush(); }
    AccessLog(const AccessLog&) = delete;
    AccessLog& operator=(const AccessLog&) = delete;

    /// `unix_now` is since 1970.
    void add(const Served& served, shm::Nanos unix_now);

    void flush() noexcept;

    bool on() const noexcept { return format_ != LogFormat::off; }

 private:
    LogFormat format_;
    int descriptor_;
    std::string lines_;
};

/// One line without its end.
std::string text_line(const Served& served, shm::Nanos unix_now);
std::string json_line(const Served& served, shm::Nanos unix_now);

}  // namespace weir::proxy
