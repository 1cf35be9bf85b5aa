// A bar on the terminal that shows how many answers of a batch are in. Nothing is written to anything
// but a terminal.
//
// Thread safety: none.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>

namespace weir::loadtest {

/// "[#######             ] 215/600", 40 characters of bar.
std::string bar_text(std::uint64_t done, std::uint64_t all);

class Progress {
 public:
    /// Draws on `terminal` if it is one.
    explicit Progress(std::FILE* terminal);

    void show(std::uint64_t done, std::uint64_t all);

    /// Wipes the bar off, so that a line can be printed where it was.
    void clear();

 private:
    std::FILE* terminal_;  // null if it is none
    bool shown_ = false;
};

}  // namespace weir::loadtest
