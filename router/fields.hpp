// The header fields of one HTTP message, in one piece of memory that is reused from message to
// message: reading a head allocates nothing once the buffers have grown.
//
// Thread safety: none. Views stay good until the next change.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace weir::router {

struct Field {
    std::string_view name;
    std::string_view value;
};

/// Whether two texts of the same length are the same, ASCII case aside.
bool same_letters(std::string_view a, std::string_view b) noexcept;

/// Whether two names of fields are the same, as RFC 9110 compares them: ASCII case aside. Most names
/// differ in length: for them nothing is called.
inline bool same_name(std::string_view a, std::string_view b) noexcept {
    return a.size() == b.size() && same_letters(a, b);
}

class Fields {
 public:
    /// With room for a usual head.
    Fields() {
        text_.reserve(512);
        places_.reserve(16);
    }

    void clear() noexcept {
        text_.clear();
        places_.clear();
        traces_ = 0;
    }

    void add(std::string_view name, std::string_view value);

    std::size_t size() const noexcept { return places_.size(); }
    Field operator[](std::size_t index) const noexcept {
        const Place& place = places_[index];
        const char* const name = text_.data() + place.name_at;
        return {{name, place.name_size}, {name + place.name_size, place.value_size}};
    }

    /// The first value under `name`, or empty.
    std::string_view get(std::string_view name) const noexcept;
    bool has(std::string_view name) const noexcept;

 private:
    struct Place {
        std::uint32_t name_at;
        std::uint32_t name_size;
        std::uint32_t value_size;
    };
    /// Which bit of traces_ the name sets: the same in either case of its letters.
    static std::uint64_t trace(std::string_view name) noexcept;

    std::string text_;
    std::vector<Place> places_;
    std::uint64_t traces_ = 0;  // of all names: most that are asked for are not there, and leave none
};

/// Whether a field concerns one connection only and must not be relayed: those of RFC 9110 section
/// 7.6.1, the framing, and whatever the message's own Connection field lists.
bool is_hop_by_hop(const Fields& fields, std::string_view name) noexcept;

/// Whether the comma-separated `list` has `token`, ASCII case aside.
bool has_token(std::string_view list, std::string_view token) noexcept;

}  // namespace weir::router
