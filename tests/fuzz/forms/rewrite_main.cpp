// Writes forms as the proxy writes them for its upstream, so that other parsers can read them
// (compare.py).
//
//   weir-form-rewrite IN OUT
//
// Each file of the folder IN is a Content-Type, a line end and a body. For a form that is accepted
// OUT gets NAME.type, NAME.body and NAME.parts, a JSON list of [name, file name or null, content in
// base 64].
#include <boost/beast/core/detail/base64.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>

#include "router/form_parts.hpp"
#include "router/multipart.hpp"

namespace fs = std::filesystem;
namespace base64 = boost::beast::detail::base64;
using namespace weir::router;

namespace {

std::string encoded(std::string_view bytes) {
    std::string out(base64::encoded_size(bytes.size()), '\0');
    out.resize(base64::encode(out.data(), bytes.data(), bytes.size()));
    return out;
}

void write(const fs::path& path, std::string_view text) {
    std::ofstream(path, std::ios::binary) << text;
}

bool rewrite(const fs::path& file, const fs::path& out) {
    std::ifstream in(file, std::ios::binary);
    const std::string input{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
    const std::string type = input.substr(0, input.find('\n'));
    const std::string body = input.substr(std::min(type.size() + 1, input.size()));
    const auto read = read_form(body, type);
    const auto* const facts = std::get_if<RequestFacts>(&read);
    if (facts == nullptr) return false;
    const std::string sent = splice_form(body, *facts->form, "deployed").joined();
    const auto boundary = read_boundary(facts->form->content_type);
    const auto parts = read_parts(sent, std::get<std::string>(boundary));
    nlohmann::json list = nlohmann::json::array();
    for (const FormPart& part : std::get<std::vector<FormPart>>(parts)) {
        const std::string_view content(sent.data() + part.content.begin,
                                       part.content.end - part.content.begin);
        list.push_back({part.name,
                        part.filename ? nlohmann::json(*part.filename) : nlohmann::json(),
                        encoded(content)});
    }
    const std::string name = file.filename().string();
    write(out / (name + ".type"), facts->form->content_type);
    write(out / (name + ".body"), sent);
    write(out / (name + ".parts"), list.dump());
    return true;
}

}  // namespace

int main(int count, char** arguments) {
    if (count != 3) {
        std::fprintf(stderr, "usage: weir-form-rewrite IN OUT\n");
        return 2;
    }
    std::size_t accepted = 0;
    std::size_t refused = 0;
    for (const auto& entry : fs::directory_iterator(arguments[1])) {
        if (rewrite(entry.path(), arguments[2])) {
            ++accepted;
        } else {
            ++refused;
        }
    }
    std::printf("%zu accepted, %zu refused\n", accepted, refused);
    return 0;
}
