#include "fake_server/answer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>

namespace weir::fake_server {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kContent = "\n\nHello there, how may I assist you today?";
constexpr std::string_view kUsageNull = R"("usage":null,)";

std::string json_text(std::string_view text) {
    return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string usage_of(Route route, const Tokens& tokens) {
    if (route == Route::responses) {
        return fmt::format(R"({{"input_tokens":{},"output_tokens":{},"total_tokens":{}}})",
                           tokens.prompt, tokens.completion, tokens.prompt + tokens.completion);
    }
    if (route == Route::embeddings) {
        return fmt::format(R"({{"prompt_tokens":{},"total_tokens":{}}})", tokens.prompt,
                           tokens.prompt);
    }
    return fmt::format(R"({{"prompt_tokens":{},"completion_tokens":{},"total_tokens":{}}})",
                       tokens.prompt, tokens.completion, tokens.prompt + tokens.completion);
}

// `,"usage":{…}`, or nothing when the script wants none.
std::string usage_member(Route route, const Tokens& tokens, const Step& step) {
    return step.no_usage ? std::string() : R"(,"usage":)" + usage_of(route, tokens);
}

std::string chat_body(const std::string& content, const std::string& usage) {
    return R"({"id":"chatcmpl-123","object":"chat.completion","created":1677652288,"model":null,)"
           R"("system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,"message":{)"
           R"("role":"assistant","content":)" +
           content + R"(},"logprobs":null,"finish_reason":"stop"}])" + usage + '}';
}

std::string completion_body(const std::string& content, const std::string& usage) {
    return R"({"id":"cmpl-123","object":"text_completion","created":1677652288,"model":null,)"
           R"("choices":[{"text":)" +
           content + R"(,"index":0,"logprobs":null,"finish_reason":"stop"}])" + usage + '}';
}

std::string response_body(const Question& question, const std::string& content,
                          const std::string& usage) {
    return R"({"id":"resp_123","object":"response","created_at":1677652288,"status":"completed",)"
           R"("model":)" +
           json_text(question.model) +
           R"(,"output":[{"type":"message","id":"msg_123","status":"completed","role":"assistant",)"
           R"("content":[{"type":"output_text","text":)" +
           content + R"(,"annotations":[]}]}])" + usage + '}';
}

std::string embeddings_body(const Question& question, const std::string& usage) {
    return R"({"object":"list","data":[{"object":"embedding","index":0,)"
           R"("embedding":[0.25,-0.5,0.125]}],"model":)" +
           json_text(question.model) + usage + '}';
}

std::string moderation_body(const Question& question) {
    return R"({"id":"modr-123","model":)" + json_text(question.model) +
           R"(,"results":[{"flagged":false,"categories":{},"category_scores":{}}]})";
}

// Bytes that no text codec would leave alone: each value once, four times over.
std::string speech_bytes() {
    std::string bytes;
    for (int i = 0; i < 1024; ++i) bytes += static_cast<char>(i & 0xff);
    return bytes;
}

// Cuts a text into pieces that each begin at a blank, as models emit words; goes around the text
// until there are `count` pieces.
std::vector<std::string> words(std::string_view text, std::uint64_t count) {
    std::vector<std::string> pieces;
    std::size_t at = 0;
    while (pieces.size() < count) {
        const std::size_t blank = text.find(' ', at + 1);
        const std::size_t end = std::min(blank, text.size());
        pieces.emplace_back(text.substr(at, end - at));
        at = end >= text.size() ? 0 : end;
    }
    return pieces;
}

std::string event(std::string_view data) {
    return fmt::format("data: {}\n\n", data);
}

std::string chat_chunk(std::string_view delta, std::string_view finish, bool with_usage) {
    return event(fmt::format(
        R"({{"id":"chatcmpl-123","object":"chat.completion.chunk","created":1677652288,)"
        R"("model":null,"system_fingerprint":"fp_44709d6fcb",{}"choices":[{{"index":0,)"
        R"("delta":{},"logprobs":null,"finish_reason":{}}}]}})",
        with_usage ? kUsageNull : "", delta, finish));
}

std::string text_chunk(std::string_view text, std::string_view finish, bool with_usage) {
    return event(fmt::format(
        R"({{"id":"cmpl-123","object":"text_completion","created":1677652288,"model":null,{})"
        R"("choices":[{{"text":{},"index":0,"logprobs":null,"finish_reason":{}}}]}})",
        with_usage ? kUsageNull : "", text, finish));
}

std::string usage_chunk(Route route, const Tokens& tokens) {
    const bool chat = route == Route::chat;
    return event(fmt::format(
        R"({{"id":"{}","object":"{}","created":1677652288,"model":null,"choices":[],"usage":{}}})",
        chat ? "chatcmpl-123" : "cmpl-123", chat ? "chat.completion.chunk" : "text_completion",
        usage_of(route, tokens)));
}

void chat_events(Route route, const Question& question, const Tokens& tokens,
                 std::string_view content, const Step& step, std::vector<std::string>& events) {
    const bool usage = question.include_usage && !step.no_usage;
    const bool chat = route == Route::chat;
    if (chat) events.push_back(chat_chunk(R"({"role":"assistant","content":""})", "null", usage));
    for (const std::string& word : words(content, std::min(tokens.completion, kContentEventsMax))) {
        const std::string text = json_text(word);
        events.push_back(chat ? chat_chunk(R"({"content":)" + text + '}', "null", usage)
                              : text_chunk(text, "null", usage));
    }
    events.push_back(chat ? chat_chunk("{}", R"("stop")", usage)
                          : text_chunk(R"("")", R"("stop")", usage));
    if (usage) events.push_back(usage_chunk(route, tokens));
    events.emplace_back("data: [DONE]\n\n");
}

void response_events(const Question& question, const Tokens& tokens, std::string_view content,
                     const Step& step, std::vector<std::string>& events) {
    const auto add = [&events](std::string_view name, const std::string& members) {
        events.push_back(
            fmt::format("event: {0}\ndata: {{\"type\":\"{0}\",{1}}}\n\n", name, members));
    };
    add("response.created", R"("response":{"id":"resp_123","status":"in_progress"})");
    for (const std::string& word : words(content, std::min(tokens.completion, kContentEventsMax))) {
        add("response.output_text.delta",
            R"("item_id":"msg_123","output_index":0,"content_index":0,"delta":)" + json_text(word));
    }
    const std::string usage = usage_member(Route::responses, tokens, step);
    add("response.completed",
        R"("response":)" + response_body(question, json_text(content), usage));
}

std::string base64(std::string_view bytes) {
    static constexpr char kDigits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string text;
    text.reserve((bytes.size() + 2) / 3 * 4);
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        const std::size_t here = std::min<std::size_t>(3, bytes.size() - i);
        std::uint32_t bits = 0;
        for (std::size_t k = 0; k < 3; ++k) {
            bits = bits << 8 | (k < here ? static_cast<unsigned char>(bytes[i + k]) : 0U);
        }
        for (std::size_t k = 0; k < 4; ++k) {
            text += k <= here ? kDigits[bits >> (18 - 6 * k) & 63] : '=';
        }
    }
    return text;
}

void answer_plain(Route route, const Question& question, const Tokens& tokens,
                  std::string_view content, const Step& step, Answer& answer) {
    const std::string usage = usage_member(route, tokens, step);
    switch (route) {
        case Route::chat:
            answer.body = chat_body(json_text(content), usage);
            break;
        case Route::completions:
            answer.body = completion_body(json_text(content), usage);
            break;
        case Route::embeddings:
            answer.body = embeddings_body(question, usage);
            break;
        case Route::moderations:
            answer.body = moderation_body(question);
            break;
        case Route::transcription:
            answer.body = R"({"text":)" + json_text(content) + '}';
            break;
        case Route::images:
            answer.body = R"({"created":1677652288,"data":[{"b64_json":"iVBORw0KGgo="}]})";
            break;
        case Route::speech:
            answer.content_type = "audio/mpeg";
            answer.body = speech_bytes();
            break;
        default:
            answer.body = response_body(question, json_text(content), usage);
            break;
    }
}

}  // namespace

void Answer::clear() {
    status = 200;
    content_type = "application/json";
    headers.clear();
    body.clear();
    events.clear();
    stream = false;
}

void answer_question(Route route, const Question& question, const Tokens& tokens, const Step& step,
                     Answer& answer) {
    const Tokens stated = step.tokens.value_or(tokens);
    const std::string_view content = step.content ? std::string_view(*step.content) : kContent;
    answer.stream = question.stream && (route == Route::chat || route == Route::completions ||
                                        route == Route::responses);
    if (!answer.stream) return answer_plain(route, question, stated, content, step, answer);
    answer.content_type = "text/event-stream; charset=utf-8";
    if (route == Route::responses) {
        return response_events(question, stated, content, step, answer.events);
    }
    chat_events(route, question, stated, content, step, answer.events);
}

void answer_detail(unsigned status, std::string_view detail, Answer& answer) {
    answer.status = status;
    answer.body = R"({"detail":)" + json_text(detail) + '}';
}

void answer_error(unsigned status, std::string_view message, std::string_view type,
                  Answer& answer) {
    answer.status = status;
    answer.body = fmt::format(R"({{"error":{{"message":{},"type":{},"param":null,"code":"{}"}}}})",
                              json_text(message), json_text(type), status);
}

std::string describe(const Request& request) {
    Json fields = Json::array();
    for (std::size_t i = 0; i < request.field_count(); ++i) {
        const Request::Field field = request.field(i);
        fields.push_back({std::string(field.name), std::string(field.value)});
    }
    const Json text(request.body);
    std::string body = "null";
    try {
        body = text.dump();
    } catch (const Json::type_error&) {  // not UTF-8
    }
    return fmt::format(
        R"({{"method":{},"target":{},"version":"{}","headers":{},"body":{},"body_bytes":{},)"
        R"("body_base64":"{}"}})",
        json_text(request.method), json_text(request.target), request.version == 10 ? "1.0" : "1.1",
        fields.dump(-1, ' ', false, Json::error_handler_t::replace), body, request.body.size(),
        base64(request.body));
}

}  // namespace weir::fake_server
