// The body as the upstream gets it: the client's own bytes with another model's name in the place
// of the old one, and without the fields that are meant for the router.
//
// Thread safety: values and pure functions.
#pragma once

#include <boost/container/small_vector.hpp>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "router/request.hpp"

namespace weir::router {

/// A body in pieces, to be written one after the other. Views into what `splice` was given.
class SplicedBody {
 public:
    std::span<const std::string_view> pieces() const noexcept {
        return {pieces_.data(), pieces_.size()};
    }
    std::size_t bytes() const noexcept { return bytes_; }
    std::string joined() const;

    /// Adds a piece; empty ones are left out.
    void add(std::string_view piece);

    /// As many pieces as a JSON body has at most: one before each edit and one at the end; the
    /// model's name may be three. A form can have more.
    static constexpr std::size_t kPiecesUsual = kOwnFieldsMax + 8;

 private:
    boost::container::small_vector<std::string_view, kPiecesUsual> pieces_;
    std::size_t bytes_ = 0;
};

/// The body for the upstream: `model_json` (from json_string) as its model, without the fields that
/// are the router's own, and asking for usage if `ask_usage` (meant for streams). `facts` must be
/// of this `body`.
SplicedBody splice(std::string_view body, const RequestFacts& facts, std::string_view model_json,
                   bool ask_usage);

}  // namespace weir::router
