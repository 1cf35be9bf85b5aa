#include "fake_server/question.hpp"

#include <simdjson.h>

namespace weir::fake_server {

namespace dom = simdjson::dom;

struct QuestionReader::Parser {
    dom::parser machine;
};

void Question::clear() {
    model.clear();
    stream = include_usage = false;
    override_step.clear();
}

QuestionReader::QuestionReader() : parser_(std::make_unique<Parser>()) {}
QuestionReader::~QuestionReader() = default;

void QuestionReader::read(const Request& request, Question& question) {
    question.clear();
    const std::string& body = request.body;
    if (!body.empty() && body.front() == '-') {
        question.model = form_value(body, "model");
        question.stream = form_value(body, "stream") == "true";
    } else if (!body.empty()) {
        read_json(body, question);
    }
    if (const auto step = request.find("x-fake")) question.override_step = *step;
}

void QuestionReader::read_json(const std::string& body, Question& question) {
    dom::object object;
    if (parser_->machine.parse(body).get(object) != simdjson::SUCCESS) return;
    for (const dom::key_value_pair pair : object) {
        std::string_view text;
        dom::object inner;
        if (pair.key == "model") {
            if (pair.value.get(text) == simdjson::SUCCESS) question.model = text;
        } else if (pair.key == "stream") {
            bool stream = false;
            question.stream = pair.value.get(stream) == simdjson::SUCCESS && stream;
        } else if (pair.key == "stream_options") {
            bool usage = false;
            if (pair.value.get(inner) != simdjson::SUCCESS) continue;
            question.include_usage =
                inner["include_usage"].get(usage) == simdjson::SUCCESS && usage;
        } else if (pair.key == "metadata") {
            dom::element fake;
            if (pair.value.get(inner) != simdjson::SUCCESS) continue;
            if (inner["fake"].get(fake) != simdjson::SUCCESS) continue;
            // OpenAI's metadata holds texts only, so a step may come as text.
            question.override_step =
                fake.get(text) == simdjson::SUCCESS ? std::string(text) : simdjson::minify(fake);
        }
    }
}

std::string_view form_value(std::string_view body, std::string_view name) {
    const std::string mark = "name=\"" + std::string(name) + '"';
    const std::size_t found = body.find(mark);
    if (found == std::string_view::npos) return {};
    const std::size_t begin = body.find("\r\n\r\n", found);
    if (begin == std::string_view::npos) return {};
    const std::size_t end = body.find("\r\n", begin + 4);
    if (end == std::string_view::npos) return {};
    return body.substr(begin + 4, end - begin - 4);
}

}  // namespace weir::fake_server
