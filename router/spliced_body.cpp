#include "router/spliced_body.hpp"

#include <array>
#include <utility>

namespace weir::router {

void SplicedBody::add(std::string_view piece) {
    if (piece.empty()) return;
    pieces_.push_back(piece);
    bytes_ += piece.size();
}

std::string SplicedBody::joined() const {
    std::string whole;
    whole.reserve(bytes_);
    for (const auto piece : pieces()) whole += piece;
    return whole;
}

SplicedBody splice(std::string_view body, const RequestFacts& facts, std::string_view model_json,
                   bool ask_usage) {
    struct Edit {
        ByteRange place;
        std::array<std::string_view, 3> text;
    };
    std::array<Edit, kOwnFieldsMax + 2> edits;
    std::size_t count = 0;
    if (ask_usage) edits[count++] = {facts.usage_place, {facts.usage_text}};
    if (facts.model_value.empty()) {
        edits[count++] = {{facts.members_begin, facts.members_begin},
                          {"\"model\":", model_json, facts.has_members ? "," : ""}};
    } else {
        edits[count++] = {facts.model_value, {model_json}};
    }
    for (const ByteRange& own : facts.own_fields) edits[count++] = {own, {}};
    for (std::size_t i = 1; i < count; ++i) {  // a handful, nearly in order, stable
        for (std::size_t j = i; j > 0 && edits[j].place.begin < edits[j - 1].place.begin; --j) {
            std::swap(edits[j], edits[j - 1]);
        }
    }
    SplicedBody spliced;
    std::size_t at = 0;
    for (std::size_t i = 0; i < count; ++i) {
        spliced.add(body.substr(at, edits[i].place.begin - at));
        for (const auto text : edits[i].text) spliced.add(text);
        at = edits[i].place.end;
    }
    spliced.add(body.substr(at));
    return spliced;
}

}  // namespace weir::router
