// Whether the tests shall run in their long form, which takes minutes to hours: WEIR_LONG=1.
#pragma once

#include <cstdlib>
#include <string_view>

namespace weir::test {

inline bool long_form() {
    const char* text = std::getenv("WEIR_LONG");
    return text != nullptr && *text != '\0' && std::string_view(text) != "0";
}

}  // namespace weir::test
