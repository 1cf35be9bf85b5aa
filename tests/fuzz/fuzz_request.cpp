// JSON bodies. What is admitted is what the upstream reads: another JSON parser finds the same
// facts in the body, and the body that goes upstream differs in the model and the fields for the
// router alone.
#include <nlohmann/json.hpp>
#include <string>

#include "router/json_text.hpp"
#include "router/request.hpp"
#include "router/request_field.hpp"
#include "router/spliced_body.hpp"
#include "tests/fuzz/target.hpp"

using namespace weir::router;
using nlohmann::json;
using weir::test::promise;

namespace {

void check_facts(const json& body, const RequestFacts& facts) {
    if (!facts.model_value.empty())
        promise(body.at("model") == facts.model, "the model is what a parser finds");
    promise(facts.n >= 1, "at least one answer");
    promise(facts.tags.size() <= kTagsMax, "tags are bounded");
    if (body.contains("stream") && body["stream"].is_boolean()) {
        promise(facts.stream == body["stream"].get<bool>(), "stream is what a parser finds");
    }
}

/// `sent` is `body` with another model, without own fields, and perhaps asking for usage.
void check_sent(json body, const json& sent) {
    promise(sent.at("model") == "new", "the upstream gets the deployment's model");
    for (const KnownField& known : kKnownFields) {
        if (is_own(known.field))
            promise(!sent.contains(known.name), "own fields do not go upstream");
        if (is_own(known.field)) body.erase(std::string(known.name));
    }
    body["model"] = "new";
    json stripped = sent;
    body.erase("stream_options");
    stripped.erase("stream_options");
    promise(body == stripped, "all else goes upstream as it came");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string body(weir::test::text_of(data, size));
    for (const ModelIn where : {ModelIn::body, ModelIn::path}) {
        const auto read = read_request(body, where);
        const auto* const facts = std::get_if<RequestFacts>(&read);
        if (facts == nullptr) {
            promise(!std::get<BadRequest>(read).message.empty(), "a refusal says why");
            continue;
        }
        const json parsed =
            json::parse(body.starts_with("\xef\xbb\xbf") ? body.substr(3) : body, nullptr, false);
        // nlohmann's parser keeps numbers out of double's range from being read; they are the
        // upstream's affair.
        if (parsed.is_discarded()) continue;
        check_facts(parsed, *facts);
        const bool ask = facts->stream && !facts->include_usage;
        const json sent =
            json::parse(splice(body, *facts, json_string("new"), ask).joined(), nullptr, false);
        promise(!sent.is_discarded(), "what goes upstream is JSON");
        check_sent(parsed, sent);
        if (ask)
            promise(sent.at("stream_options").at("include_usage") == true, "usage is asked for");
    }
    return 0;
}
