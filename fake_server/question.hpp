// What the server needs to know of a request's body. It is lenient, like the Python fake server:
// a body that is not JSON is a question without a model.
//
// Thread safety: none; a reader keeps its buffers from body to body.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "fake_server/request.hpp"

namespace weir::fake_server {

struct Question {
    std::string model;
    bool stream = false;
    bool include_usage = false;
    std::string override_step;  ///< JSON of a step asked for by `metadata.fake`, or empty

    void clear();
};

class QuestionReader {
 public:
    QuestionReader();
    ~QuestionReader();
    QuestionReader(const QuestionReader&) = delete;
    QuestionReader& operator=(const QuestionReader&) = delete;

    /// Reads a JSON or a multipart body, and the header `x-fake`, which wins over `metadata.fake`.
    void read(const Request& request, Question& question);

 private:
    struct Parser;

    void read_json(const std::string& body, Question& question);

    std::unique_ptr<Parser> parser_;
};

/// The value of the part named `name` of a multipart body; empty when there is none.
std::string_view form_value(std::string_view body, std::string_view name);

}  // namespace weir::fake_server
