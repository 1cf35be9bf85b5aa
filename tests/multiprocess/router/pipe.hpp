// A pipe between a test and a child of it.
#pragma once

#include <poll.h>
#include <unistd.h>

#include <array>
#include <stdexcept>

namespace weir::router::test {

class Pipe {
 public:
    Pipe() {
        if (::pipe(ends_.data()) != 0) throw std::runtime_error("no pipe");
    }
    Pipe(const Pipe&) = delete;
    Pipe& operator=(const Pipe&) = delete;
    ~Pipe() {
        ::close(ends_[0]);
        ::close(ends_[1]);
    }

    /// A word without a meaning of its own.
    bool tell() const { return write('x'); }
    bool hear() const {
        char byte;
        return read(byte);
    }

    /// Values that fit into the pipe as a whole. False when nothing comes for half a minute.
    template <class T>
    bool write(const T& value) const {
        return ::write(ends_[1], &value, sizeof value) == static_cast<ssize_t>(sizeof value);
    }
    template <class T>
    bool read(T& value) const {
        pollfd end{ends_[0], POLLIN, 0};
        if (::poll(&end, 1, 30'000) != 1) return false;
        return ::read(ends_[0], &value, sizeof value) == static_cast<ssize_t>(sizeof value);
    }

    /// Whether read() would return at once.
    bool has_news() const {
        pollfd end{ends_[0], POLLIN, 0};
        return ::poll(&end, 1, 0) == 1;
    }

 private:
    std::array<int, 2> ends_{};
};

}  // namespace weir::router::test
