// One request as it arrived: every byte of target, header fields and body, in order.
//
// The fields lie in one text that keeps its capacity from request to request, so that reading a
// small request allocates nothing. Thread safety: none.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weir::fake_server {

class Request {
 public:
    struct Field {
        std::string_view name;  ///< in the sender's spelling
        std::string_view value;
    };

    std::string method;
    std::string target;
    int version = 11;  ///< 10 or 11
    bool keep_alive = true;
    std::string body;  ///< chunks already joined

    /// Appends one field, after those before it.
    void add_field(std::string_view name, std::string_view value);

    std::size_t field_count() const noexcept { return spans_.size(); }
    Field field(std::size_t index) const noexcept;

    /// The value of the first field of that name in any spelling.
    std::optional<std::string_view> find(std::string_view name) const noexcept;

    /// The target without its query.
    std::string_view path() const noexcept;

    /// The value of `name` in the query, not decoded; empty text for a name without a value.
    std::optional<std::string_view> query(std::string_view name) const noexcept;

    void clear() noexcept;

 private:
    struct Span {
        std::size_t begin;
        std::size_t name_size;
        std::size_t value_size;
    };

    std::string text_;  // names and values, one after the other
    std::vector<Span> spans_;
};

/// Whether two header names are the same in any spelling (ASCII).
bool same_name(std::string_view left, std::string_view right) noexcept;

}  // namespace weir::fake_server
