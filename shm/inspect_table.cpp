#include "shm/inspect_table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace weir::shm {

TextTable::TextTable(std::vector<std::string> headings) {
    for (std::string& heading : headings) {
        const bool right = heading.starts_with('>');
        if (right) heading.erase(0, 1);
        right_.push_back(right);
        headings_.cells.push_back(std::move(heading));
    }
    headings_.mark.assign(1, '1');  // bold
}

void TextTable::add(std::vector<std::string> cells, std::string mark) {
    cells.resize(right_.size());
    rows_.push_back({std::move(cells), std::move(mark)});
}

std::string TextTable::text(bool colour) const {
    std::vector<std::size_t> widths;
    for (std::size_t i = 0; i < right_.size(); ++i) {
        std::size_t width = headings_.cells[i].size();
        for (const Row& row : rows_) width = std::max(width, row.cells[i].size());
        widths.push_back(width);
    }
    std::string text = line(headings_, widths, colour);
    for (const Row& row : rows_) text += line(row, widths, colour);
    return text;
}

std::string TextTable::line(const Row& row, const std::vector<std::size_t>& widths,
                            bool colour) const {
    std::string text;
    for (std::size_t i = 0; i < right_.size(); ++i) {
        if (i != 0) text.append(2, ' ');
        text += right_[i] ? fmt::format("{:>{}}", row.cells[i], widths[i])
                          : fmt::format("{:<{}}", row.cells[i], widths[i]);
    }
    text.erase(text.find_last_not_of(' ') + 1);
    if (colour && !row.mark.empty()) text = fmt::format("\x1b[{}m{}\x1b[0m", row.mark, text);
    return text + '\n';
}

}  // namespace weir::shm
