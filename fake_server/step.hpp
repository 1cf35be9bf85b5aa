// One scripted answer: how the server is to behave towards one request. An empty step is an
// ordinary answer. docs/fake-server.md lists the keys of a step's JSON.
//
// Thread safety: plain values, pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace weir::fake_server {

struct Tokens {
    std::uint64_t prompt = 9;
    std::uint64_t completion = 12;
};

/// What is wrong with the answer's bytes.
enum class Malformed : std::uint8_t {
    no,
    json,    ///< well-formed HTTP around JSON that stops in the middle
    http,    ///< a status line that is none
    length,  ///< announces 16 bytes more than it sends, then closes
    chunk,   ///< a chunk whose size is no number
};

struct Step {
    std::optional<unsigned> status;
    std::vector<std::pair<std::string, std::string>> headers;
    std::optional<std::string> body;     ///< verbatim; JSON values are written compactly
    std::optional<std::string> raw;      ///< all bytes of the answer, head included
    std::optional<std::string> content;  ///< what the assistant says
    std::optional<Tokens> tokens;
    std::optional<std::size_t> cut_after_bytes;   ///< of the answer behind its head
    std::optional<std::size_t> cut_after_events;  ///< of a stream
    std::int64_t stall_ns = 0;                    ///< before the first byte
    std::int64_t event_delay_ns = 0;              ///< before each event of a stream but the first
    std::int64_t chunk_delay_ns = 0;              ///< between the pieces of `chunk_bytes`
    std::size_t chunk_bytes = 0;                  ///< 0: no pieces
    Malformed malformed = Malformed::no;
    bool close_before_response = false;
    bool close_idle_connection = false;
    bool reset = false;  ///< cuts and closes are done by RST instead of FIN
    bool no_usage = false;
    bool echo = false;  ///< the body is what arrived, as JSON
    unsigned times = 1;
};

/// Reads one step. Empty, and `error` names the key, what was found and what was expected, for
/// unknown keys, wrong types and values out of range.
std::optional<Step> parse_step(const nlohmann::json& json, std::string& error);

/// A list of steps, and whether it begins again at its end.
struct Program {
    std::vector<Step> steps;
    bool repeat = false;
};

/// Reads a list of steps, or {"steps": […], "repeat": true}.
std::optional<Program> parse_program(std::string_view text, std::string& error);

}  // namespace weir::fake_server
