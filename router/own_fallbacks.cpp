#include "router/own_fallbacks.hpp"

#include <simdjson.h>

#include <utility>

namespace weir::router {
namespace {

namespace ondemand = simdjson::ondemand;

/// Reads one such value; every step returns false if it is not as it should be.
class FallbackReader {
 public:
    FallbackReader(std::vector<std::string>& anyhow, FallbackLists& lists) : anyhow_(anyhow), lists_(lists) {}

    bool read(ondemand::array list) {
        for (auto item : list) {
            ondemand::value value;
            ondemand::json_type type;
            if (item.get(value) || value.type().get(type)) return false;
            if (type == ondemand::json_type::string ? !read_name(value, anyhow_) : !read_object(value)) {
                return false;
            }
        }
        return true;
    }

 private:
    bool read_object(ondemand::value& value) {
        ondemand::object object;
        if (value.get_object().get(object)) return false;
        std::size_t members = 0;
        bool has_model = false;
        for (auto member : object) {
            ondemand::field field;
            std::string_view key;
            ondemand::json_type type;
            if (std::move(member).get(field) || field.unescaped_key().get(key)) return false;
            const std::string group(key);
            if (field.value().type().get(type)) return false;
            const bool name = group == "model" && type == ondemand::json_type::string;
            ++members;
            has_model = has_model || name;
            if (name ? !read_name(field.value(), anyhow_) : !read_names(field.value(), lists_[group])) {
                return false;
            }
        }
        return !has_model || members == 1;  // or it would be another request, not only another model
    }

    bool read_names(ondemand::value& value, std::vector<std::string>& names) {
        ondemand::array list;
        if (value.get_array().get(list)) return false;
        for (auto item : list) {
            ondemand::value name;
            if (item.get(name) || !read_name(name, names)) return false;
        }
        return true;
    }

    bool read_name(ondemand::value& value, std::vector<std::string>& names) {
        std::string_view name;
        if (value.get_string().get(name) || name.empty() || count_ == kOwnFallbacksMax) return false;
        ++count_;
        names.emplace_back(name);
        return true;
    }

    std::vector<std::string>& anyhow_;
    FallbackLists& lists_;
    std::size_t count_ = 0;
};

}  // namespace

bool read_fallbacks(std::string_view json, std::vector<std::string>& anyhow, FallbackLists& lists) {
    const simdjson::padded_string text(json);
    ondemand::parser parser;
    ondemand::document document;
    ondemand::array list;
    if (parser.iterate(text).get(document) || document.get_array().get(list)) return false;
    return FallbackReader(anyhow, lists).read(list);
}

FallbackRules with_own(const FallbackRules& rules, const OwnFallbacks& own) {
    FallbackRules mine = rules;
    if (own.fallbacks) mine.fallbacks = *own.fallbacks;
    if (own.context_window) mine.context_window = *own.context_window;
    if (own.content_policy) mine.content_policy = *own.content_policy;
    if (!own.anyhow.empty()) {
        mine.fallbacks = {{"*", own.anyhow}};
        mine.context_window.clear();
        mine.content_policy.clear();
    }
    if (own.max_fallbacks) mine.max_fallbacks = *own.max_fallbacks;
    if (own.disabled) mine.max_fallbacks = 0;
    return mine;
}

void rename(OwnFallbacks& own, const std::function<std::string_view(std::string_view name)>& meaning) {
    const auto rename_all = [&](std::vector<std::string>& names) {
        for (std::string& name : names) name = std::string(meaning(name));
    };
    rename_all(own.anyhow);
    for (auto* lists : {&own.fallbacks, &own.context_window, &own.content_policy}) {
        if (!*lists) continue;
        FallbackLists renamed;
        for (auto& [group, names] : **lists) {
            rename_all(names);
            auto& list = renamed[std::string(meaning(group))];  // two names may mean the same
            list.insert(list.end(), names.begin(), names.end());
        }
        **lists = std::move(renamed);
    }
}

std::vector<std::string_view> named_in(const OwnFallbacks& own) {
    std::vector<std::string_view> names(own.anyhow.begin(), own.anyhow.end());
    for (const auto* lists : {&own.fallbacks, &own.context_window, &own.content_policy}) {
        if (!*lists) continue;
        for (const auto& [group, list] : **lists) names.insert(names.end(), list.begin(), list.end());
    }
    return names;
}

}  // namespace weir::router
