// A place in a configuration file, with its path, so that every complaint can say where.
//
// Private to the reading of configurations. Thread safety: none.
#pragma once

#include <yaml-cpp/yaml.h>

#include <cstdint>
#include <initializer_list>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "router/config.hpp"
#include "router/config_ignored.hpp"

namespace weir::router {

/// The largest limit on requests or tokens.
inline constexpr std::uint64_t kLimitMax = (std::uint64_t{1} << 39) - 1;

/// What one run of reading has in common.
struct ConfigRun {
    std::vector<Problem>& problems;
    const Environment& environment;
    std::map<std::string, std::string>
        variables;  ///< environment_variables; before the environment
};

/// A node of the file. Cheap to copy. What is missing is a node too: present() tells.
class ConfigNode {
 public:
    ConfigNode(YAML::Node node, std::string path, ConfigRun& run)
        : node_(std::move(node)), path_(std::move(path)), run_(&run) {}

    bool present() const { return node_.IsDefined() && !node_.IsNull(); }
    bool is_map() const { return node_.IsDefined() && node_.IsMap(); }
    bool is_list() const { return node_.IsDefined() && node_.IsSequence(); }
    bool is_scalar() const { return node_.IsDefined() && node_.IsScalar(); }
    std::size_t size() const { return node_.IsDefined() ? node_.size() : 0; }
    const std::string& path() const { return path_; }

    /// A member of a mapping, also one that is merged in by `<<`.
    ConfigNode at(const std::string& key) const;
    /// An element of a list.
    ConfigNode item(std::size_t index) const;
    /// All members of a mapping, in order, without `<<`.
    std::vector<std::pair<std::string, ConfigNode>> members() const;
    /// All elements of a list; complains if it is something else that is not nothing.
    std::vector<ConfigNode> items() const;

    void error(const std::string& message) const { report(Problem::Severity::error, message); }
    void warn(const std::string& message) const { report(Problem::Severity::warning, message); }

    /// True if this is a mapping; complains if it is something else that is not nothing.
    bool expect_map(std::string_view what) const;

    /// Warns of every member that is not in `known`: says why for the ignored ones, and what may be meant
    /// by the others. A key that is there twice is an error.
    void only(std::span<const std::string_view> known, std::span<const Ignored> ignored = {}) const;
    void only(std::initializer_list<std::string_view> known,
              std::span<const Ignored> ignored = {}) const {
        only(std::span(known.begin(), known.size()), ignored);
    }

    std::optional<std::string> text() const;
    std::optional<bool> boolean() const;
    std::optional<std::uint64_t> whole(std::uint64_t least, std::uint64_t most) const;
    std::optional<double> number(double least, double most) const;
    /// A number of seconds.
    std::optional<shm::Nanos> seconds(double least, double most) const;
    /// A limit on requests or tokens: 1 .. kLimitMax.
    std::optional<std::uint64_t> limit() const { return whole(1, kLimitMax); }
    /// A list of texts, or one text.
    std::vector<std::string> texts() const;

    /// A variable of the file or of the environment, if it is set.
    std::optional<std::string> variable(const std::string& name) const;

    /// The same as a place of its own, so that it is read, and complained of, as settings are. One that is
    /// set to nothing is missing, too.
    ConfigNode variable_place(const std::string& name) const;

    /// What a text holds that is itself JSON; anything but a text is itself. Missing, with a complaint that
    /// does not repeat it, if it is no JSON.
    ConfigNode unfolded() const;

    /// For messages: what is there instead.
    std::string found() const;

 private:
    /// The scalar, or the environment's word for it: `os.environ/X` replaces a whole value.
    std::optional<std::string> resolved() const;
    YAML::Node find(const YAML::Node& map, const std::string& key, int depth) const;
    ConfigNode below(const YAML::Node& node, const std::string& path) const;
    int line() const;
    std::optional<double> number_of(double least, double most, bool whole_only) const;
    void report(Problem::Severity severity, const std::string& message) const;

    YAML::Node node_;
    std::string path_;
    ConfigRun* run_;
    std::optional<int> line_;  // of the text that this was unfolded from; else the node knows
};

}  // namespace weir::router
