// What a terminal shows while there is nothing else to say: how many answers of a batch are in, and how
// long it is to the next. Nothing is written to anything but a terminal.
//
// Thread safety: none.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>

#include "loadtest/batch.hpp"

namespace weir::loadtest {

/// "[#######             ] 215/600", 40 characters of bar.
std::string bar_text(std::uint64_t done, std::uint64_t all);

/// "next batch in 7 s", rounded up.
std::string wait_text(Nanos left);

class Progress {
 public:
    /// Draws on `terminal` if it is one.
    explicit Progress(std::FILE* terminal);

    void show(std::uint64_t done, std::uint64_t all) { show(bar_text(done, all)); }
    void show_wait(Nanos left) { show(wait_text(left)); }

    /// Wipes it off, so that a line can be printed where it was.
    void clear();

 private:
    void show(const std::string& text);

    std::FILE* terminal_;  // null if it is none
    bool shown_ = false;
};

}  // namespace weir::loadtest
