#include "router/config_node.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <set>

#include "router/config_hint.hpp"

namespace weir::router {
namespace {

constexpr std::string_view kMerge = "<<";
/// A YAML alias may contain itself; nobody merges deeper than this.
constexpr int kMergeDepthMax = 8;

std::string joined(const std::string& path, const std::string& key) {
    return path.empty() ? key : path + "." + key;
}

std::string key_text(const YAML::Node& key) {
    return key.IsScalar() ? key.Scalar() : "?";
}

std::string lower(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return text;
}

}  // namespace

YAML::Node ConfigNode::find(const YAML::Node& map, const std::string& key, int depth) const {
    const YAML::Node missing(YAML::NodeType::Undefined);
    if (!map.IsDefined() || !map.IsMap() || depth > kMergeDepthMax) return missing;
    for (const auto& entry : map) {
        if (entry.first.IsScalar() && entry.first.Scalar() == key) return entry.second;
    }
    for (const auto& entry : map) {
        if (!entry.first.IsScalar() || entry.first.Scalar() != kMerge) continue;
        if (!entry.second.IsSequence()) return find(entry.second, key, depth + 1);
        for (const auto& merged : entry.second) {
            const YAML::Node found = find(merged, key, depth + 1);
            if (found.IsDefined()) return found;
        }
    }
    return missing;
}

ConfigNode ConfigNode::at(const std::string& key) const {
    return below(find(node_, key, 0), joined(path_, key));
}

ConfigNode ConfigNode::item(std::size_t index) const {
    return below(node_[index], fmt::format("{}[{}]", path_, index));
}

ConfigNode ConfigNode::below(const YAML::Node& node, const std::string& path) const {
    ConfigNode inner(node, path, *run_);
    inner.line_ = line_;
    return inner;
}

std::vector<std::pair<std::string, ConfigNode>> ConfigNode::members() const {
    std::vector<std::pair<std::string, ConfigNode>> list;
    if (!is_map()) return list;
    for (const auto& entry : node_) {
        const std::string key = key_text(entry.first);
        if (key != kMerge)
            list.emplace_back(key, below(entry.second, joined(path_, key)));
    }
    return list;
}

std::vector<ConfigNode> ConfigNode::items() const {
    std::vector<ConfigNode> list;
    if (!present()) return list;
    if (!is_list()) {
        error("expected a list, found " + found());
        return list;
    }
    for (std::size_t i = 0; i < node_.size(); ++i) list.push_back(item(i));
    return list;
}

bool ConfigNode::expect_map(std::string_view what) const {
    if (is_map()) return true;
    if (present()) error(fmt::format("expected a mapping with {}, found {}", what, found()));
    return false;
}

void ConfigNode::only(std::span<const std::string_view> known,
                      std::span<const Ignored> ignored) const {
    std::set<std::string> seen;
    for (const auto& entry : node_) {
        const std::string key = key_text(entry.first);
        if (key == kMerge) continue;
        const ConfigNode place(entry.first, joined(path_, key), *run_);
        if (!seen.insert(key).second) place.error("is there twice");
        if (std::find(known.begin(), known.end(), key) != known.end()) continue;
        const auto why = std::find_if(ignored.begin(), ignored.end(),
                                      [&](const Ignored& i) { return i.has(key); });
        if (why == ignored.end()) {
            place.warn("unknown; it has no effect" + hint_for(key, known));
        } else {
            place.warn(fmt::format("not supported, it has no effect: {}", why->why));
        }
    }
}

std::optional<std::string> ConfigNode::text() const {
    if (!present()) return std::nullopt;
    if (!node_.IsScalar()) {
        error("expected text, found " + found());
        return std::nullopt;
    }
    return resolved();
}

std::optional<bool> ConfigNode::boolean() const {
    if (!present()) return std::nullopt;
    const auto text = node_.IsScalar() ? resolved() : std::optional<std::string>("");
    if (!text) return std::nullopt;
    const std::string word = lower(*text);
    if (word == "true" || word == "yes" || word == "on" || word == "1") return true;
    if (word == "false" || word == "no" || word == "off" || word == "0") return false;
    error("expected true or false, found " + found());
    return std::nullopt;
}

std::optional<std::uint64_t> ConfigNode::whole(std::uint64_t least, std::uint64_t most) const {
    const auto value = number_of(static_cast<double>(least), static_cast<double>(most), true);
    if (!value) return std::nullopt;
    return static_cast<std::uint64_t>(*value);
}

std::optional<double> ConfigNode::number(double least, double most) const {
    return number_of(least, most, false);
}

std::optional<shm::Nanos> ConfigNode::seconds(double least, double most) const {
    const auto value = number_of(least, most, false);
    if (!value) return std::nullopt;
    return shm::Nanos(std::llround(*value * 1e9));
}

std::optional<double> ConfigNode::number_of(double least, double most, bool whole_only) const {
    if (!present()) return std::nullopt;
    const auto text = node_.IsScalar() ? resolved() : std::optional<std::string>("");
    if (!text) return std::nullopt;
    double value = 0;
    const bool signed_plus = text->size() > 1 && text->front() == '+' && text->at(1) != '-';
    const char* const end = text->data() + text->size();
    const auto [stop, failure] = std::from_chars(text->data() + (signed_plus ? 1 : 0), end, value);
    if (failure != std::errc() || stop != end || !(value >= least && value <= most) ||
        (whole_only && value != std::floor(value))) {
        error(fmt::format("expected a {}number from {} to {}, found {}", whole_only ? "whole " : "",
                          least, most, found()));
        return std::nullopt;
    }
    return value;
}

std::vector<std::string> ConfigNode::texts() const {
    std::vector<std::string> list;
    if (is_scalar() && present()) {
        if (auto one = text()) list.push_back(std::move(*one));
        return list;
    }
    for (const ConfigNode& node : items()) {
        if (auto one = node.text()) list.push_back(std::move(*one));
    }
    return list;
}

std::string ConfigNode::found() const {
    if (!node_.IsDefined()) return "nothing";
    if (node_.IsNull()) return "null";
    if (node_.IsMap()) return "a mapping";
    if (node_.IsSequence()) return "a list";
    return fmt::format("\"{}\"", node_.Scalar());
}

std::optional<std::string> ConfigNode::variable(const std::string& name) const {
    if (const auto own = run_->variables.find(name); own != run_->variables.end())
        return own->second;
    if (run_->environment) return run_->environment(name);
    if (const char* value = std::getenv(name.c_str())) return value;
    return std::nullopt;
}

ConfigNode ConfigNode::variable_place(const std::string& name) const {
    const auto value = variable(name);
    const bool said = value && !value->empty();
    return {said ? YAML::Node(*value) : YAML::Node(YAML::NodeType::Undefined), "the variable " + name, *run_};
}

ConfigNode ConfigNode::unfolded() const {
    if (!present() || !is_scalar()) return *this;
    ConfigNode inner(YAML::Node(YAML::NodeType::Undefined), path_, *run_);
    inner.line_ = line();
    const auto text = resolved();
    if (!text) return inner;
    try {
        inner.node_ = YAML::Load(*text);  // of which JSON is a part
    } catch (const YAML::Exception&) {
        error("is not JSON");
    }
    return inner;
}

int ConfigNode::line() const {
    if (line_) return *line_;
    return node_.IsDefined() ? node_.Mark().line + 1 : 0;
}

std::optional<std::string> ConfigNode::resolved() const {
    constexpr std::string_view prefix = "os.environ/";
    const std::string& raw = node_.Scalar();
    if (raw.rfind(prefix, 0) != 0) return raw;
    const std::string name = raw.substr(prefix.size());
    if (auto value = variable(name)) return value;
    error(fmt::format("the environment variable {} is not set", name));
    return std::nullopt;
}

void ConfigNode::report(Problem::Severity severity, const std::string& message) const {
    run_->problems.push_back({severity, line(), path_, message});
}

}  // namespace weir::router
