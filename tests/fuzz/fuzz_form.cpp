// Forms. The first line of the input is the Content-Type, the rest is the body. What goes upstream
// reads as it was understood, and to write it once more changes nothing.
#include <string>

#include "router/multipart.hpp"
#include "tests/fuzz/target.hpp"

using namespace weir::router;
using weir::test::promise;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view input = weir::test::text_of(data, size);
    const std::string_view type = input.substr(0, input.find('\n'));
    const std::string body(input.substr(std::min(type.size() + 1, input.size())));
    for (const ModelIn where : {ModelIn::body, ModelIn::path}) {
        const auto read = read_form(body, type, where);
        const auto* const facts = std::get_if<RequestFacts>(&read);
        if (facts == nullptr) continue;
        promise(facts->form.has_value(), "a form is written anew");
        const std::string sent = splice_form(body, *facts->form, "new").joined();
        const auto again = read_form(sent, facts->form->content_type);
        const auto* const same = std::get_if<RequestFacts>(&again);
        promise(same != nullptr, "what goes upstream is a form");
        promise(same->model == "new", "the upstream gets the deployment's model");
        promise(same->user == facts->user && same->n == facts->n && same->stream == facts->stream,
                "the upstream reads what was checked");
        promise(!same->priority && !same->own_fallbacks,
                "fields for the router do not go upstream");
        promise(splice_form(sent, *same->form, "new").joined() == sent,
                "a form that was written is written so again");
    }
    return 0;
}
