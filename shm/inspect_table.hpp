// A table of aligned columns for a terminal.
//
// Thread safety: none.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace weir::shm {

class TextTable {
 public:
    /// A column whose heading begins with '>' is aligned to the right.
    explicit TextTable(std::vector<std::string> headings);

    /// `mark` is an SGR sequence such as "31" for the whole row, used with colour only.
    void add(std::vector<std::string> cells, std::string mark = {});

    bool empty() const noexcept { return rows_.empty(); }
    std::string text(bool colour) const;

 private:
    struct Row {
        std::vector<std::string> cells;
        std::string mark;
    };
    std::string line(const Row& row, const std::vector<std::size_t>& widths, bool colour) const;

    std::vector<bool> right_;
    Row headings_;
    std::vector<Row> rows_;
};

}  // namespace weir::shm
