// The bodies that the server answers with.
//
// Thread safety: pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "fake_server/question.hpp"
#include "fake_server/route.hpp"
#include "fake_server/step.hpp"

namespace weir::fake_server {

/// An answer before it becomes bytes on a connection.
struct Answer {
    unsigned status = 200;
    std::string_view content_type = "application/json";  ///< of static storage
    std::string headers;              ///< further header lines, each ending in CR LF
    std::string body;                 ///< unless `stream`
    std::vector<std::string> events;  ///< of a stream, each with its blank line
    bool stream = false;

    void clear();
};

/// Content events in one stream at most; the stated usage may be larger.
inline constexpr std::uint64_t kContentEventsMax = 20'000;

/// Answers a question to a model route: the Python fake server's exact JSON for chat, with the
/// tokens and the content that `step` asks for, or `tokens`.
void answer_question(Route route, const Question& question, const Tokens& tokens, const Step& step,
                     Answer& answer);

/// {"detail":"…"}, as that server says what it refuses.
void answer_detail(unsigned status, std::string_view detail, Answer& answer);

/// An error in OpenAI's shape.
void answer_error(unsigned status, std::string_view message, std::string_view type, Answer& answer);

/// What arrived, as JSON: method, target, header fields in order, the body as text (null when it is
/// not UTF-8) and in base64.
std::string describe(const Request& request);

}  // namespace weir::fake_server
