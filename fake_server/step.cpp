#include "fake_server/step.hpp"

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>
#include <string_view>

#include "fake_server/instant.hpp"

namespace weir::fake_server {
namespace {

using Json = nlohmann::json;

constexpr double kMillisMax = 86'400'000;  // a day
constexpr std::uint64_t kTokensMax = std::uint64_t{1} << 40;
constexpr std::uint64_t kBytesMax = std::uint64_t{1} << 40;
constexpr std::uint64_t kTimesMax = 1'000'000;
constexpr std::size_t kStepsMax = 100'000;

std::string found(const Json& value) {
    std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
    return text.size() > 60 ? text.substr(0, 57) + "..." : text;
}

// Reads the values of one step; the first thing wrong is kept.
class StepReader {
 public:
    explicit StepReader(std::string& error) : error_(error) { error_.clear(); }

    bool ok() const { return error_.empty(); }

    void fail(std::string_view key, const Json& value, std::string_view expected) {
        if (ok()) error_ = fmt::format("'{}': found {}, expected {}", key, found(value), expected);
    }

    std::uint64_t number(std::string_view key, const Json& value, std::uint64_t least,
                         std::uint64_t most) {
        if (value.is_number_unsigned()) {
            const auto number = value.get<std::uint64_t>();
            if (number >= least && number <= most) return number;
        }
        fail(key, value, fmt::format("a whole number from {} to {}", least, most));
        return least;
    }

    std::int64_t millis(std::string_view key, const Json& value) {
        if (value.is_number()) {
            const auto ms = value.get<double>();
            if (ms >= 0 && ms <= kMillisMax) {
                return static_cast<std::int64_t>(ms * static_cast<double>(kNanosPerMilli));
            }
        }
        fail(key, value, "milliseconds from 0 to 86400000");
        return 0;
    }

    bool flag(std::string_view key, const Json& value) {
        if (value.is_boolean()) return value.get<bool>();
        fail(key, value, "true or false");
        return false;
    }

    std::string text(std::string_view key, const Json& value) {
        if (value.is_string()) return value.get<std::string>();
        fail(key, value, "a text");
        return {};
    }

    Tokens tokens(std::string_view key, const Json& value) {
        if (!value.is_array() || value.size() != 2) {
            fail(key, value, "[prompt, completion]");
            return {};
        }
        return {number(key, value[0], 0, kTokensMax), number(key, value[1], 0, kTokensMax)};
    }

    Malformed malformed(std::string_view key, const Json& value) {
        if (value == false) return Malformed::no;
        if (value == true || value == "json") return Malformed::json;
        if (value == "http") return Malformed::http;
        if (value == "length") return Malformed::length;
        if (value == "chunk") return Malformed::chunk;
        fail(key, value, R"(true, "json", "http", "length" or "chunk")");
        return Malformed::no;
    }

    // Header values may be numbers, for retry-after's sake. A line break would be a second header.
    void headers(const Json& value, std::vector<std::pair<std::string, std::string>>& headers) {
        if (!value.is_object()) return fail("headers", value, "an object of names and values");
        for (const auto& [name, content] : value.items()) {
            std::string line = content.is_string() ? content.get<std::string>() : content.dump();
            const bool clean = (name + line).find_first_of("\r\n") == std::string::npos;
            if (name.empty() || !clean) fail("headers." + name, content, "no line breaks");
            headers.emplace_back(name, std::move(line));
        }
    }

 private:
    std::string& error_;
};

bool read_shape(StepReader& read, Step& step, const std::string& key, const Json& value) {
    if (key == "status") {
        step.status = static_cast<unsigned>(read.number(key, value, 200, 599));
    } else if (key == "headers") {
        read.headers(value, step.headers);
    } else if (key == "body") {
        step.body = value.is_string() ? value.get<std::string>() : value.dump();
    } else if (key == "raw") {
        step.raw = read.text(key, value);
    } else if (key == "content") {
        step.content = read.text(key, value);
    } else if (key == "tokens") {
        step.tokens = read.tokens(key, value);
    } else if (key == "no_usage") {
        step.no_usage = read.flag(key, value);
    } else if (key == "echo") {
        step.echo = read.flag(key, value);
    } else if (key == "malformed") {
        step.malformed = read.malformed(key, value);
    } else if (key == "times") {
        step.times = static_cast<unsigned>(read.number(key, value, 1, kTimesMax));
    } else {
        return false;
    }
    return true;
}

bool read_delivery(StepReader& read, Step& step, const std::string& key, const Json& value) {
    if (key == "stall_ms") {
        step.stall_ns = read.millis(key, value);
    } else if (key == "event_delay_ms") {
        step.event_delay_ns = read.millis(key, value);
    } else if (key == "chunk_delay_ms") {
        step.chunk_delay_ns = read.millis(key, value);
    } else if (key == "chunk_bytes") {
        step.chunk_bytes = read.number(key, value, 1, kBytesMax);
    } else if (key == "cut_after_bytes") {
        step.cut_after_bytes = read.number(key, value, 0, kBytesMax);
    } else if (key == "cut_after_events") {
        step.cut_after_events = read.number(key, value, 0, kBytesMax);
    } else if (key == "close_before_response") {
        step.close_before_response = read.flag(key, value);
    } else if (key == "close_idle_connection") {
        step.close_idle_connection = read.flag(key, value);
    } else if (key == "reset") {
        step.reset = read.flag(key, value);
    } else {
        return false;
    }
    return true;
}

bool add_steps(const Json& list, Program& program, std::string& error) {
    if (!list.is_array() || list.size() > kStepsMax) {
        error =
            fmt::format("found {}, expected a list of at most {} steps", found(list), kStepsMax);
        return false;
    }
    for (const Json& json : list) {
        std::optional<Step> step = parse_step(json, error);
        if (!step) {
            error = fmt::format("step {}: {}", program.steps.size() + 1, error);
            return false;
        }
        program.steps.push_back(*std::move(step));
    }
    return true;
}

}  // namespace

std::optional<Step> parse_step(const Json& json, std::string& error) {
    StepReader read(error);
    if (!json.is_object()) {
        read.fail("step", json, "an object");
        return std::nullopt;
    }
    Step step;
    for (const auto& [key, value] : json.items()) {
        if (read_shape(read, step, key, value) || read_delivery(read, step, key, value)) continue;
        read.fail(key, value, "no such key");
    }
    if (!read.ok()) return std::nullopt;
    return step;
}

std::optional<Program> parse_program(std::string_view text, std::string& error) {
    const Json json = Json::parse(text, nullptr, false);
    if (json.is_discarded()) {
        error = "the script is not JSON";
        return std::nullopt;
    }
    Program program;
    if (!json.is_object()) {
        if (!add_steps(json, program, error)) return std::nullopt;
        return program;
    }
    for (const auto& [key, value] : json.items()) {
        if (key == "repeat" && value.is_boolean()) {
            program.repeat = value.get<bool>();
        } else if (key != "steps") {
            error = fmt::format("'{}': found {}, expected \"steps\" and \"repeat\": true or false",
                                key, found(value));
            return std::nullopt;
        }
    }
    if (!json.contains("steps")) {
        error = "'steps' is missing";
        return std::nullopt;
    }
    if (!add_steps(json["steps"], program, error)) return std::nullopt;
    return program;
}

}  // namespace weir::fake_server
