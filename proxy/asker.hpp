// Puts questions to a proxy that is running, and shows what it says: what --health and --test do.
//
// Thread safety: none. Each question runs an event loop of its own and blocks.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "proxy/options.hpp"
#include "router/url.hpp"

namespace weir::proxy {

/// One request to the proxy.
struct Question {
    std::string method;
    std::string path;
    std::string body{};  ///< JSON, or empty
};

/// Takes text as it comes.
using Say = std::function<void(std::string_view)>;

class Asker {
 public:
    /// `key` may be empty: then none is presented.
    Asker(router::Url proxy, std::string key);

    /// Puts `question` and passes the answer's body to `say` as it comes. Returns its status; empty if there
    /// was no whole answer: then failure() says why.
    std::optional<unsigned> ask(const Question& question, const Say& say);

    /// For people: which proxy, and why there is no answer from it.
    std::string failure() const;

 private:
    router::Url proxy_;
    std::string key_;
    std::string failure_;
};

/// Where the proxy of `options` listens, as seen from here: at options.test_url, or else at its host and
/// port. Empty, and `error` says why, if that is no address.
std::optional<router::Url> proxy_url(const Options& options, std::string& error);

/// What `--health` does: shows the answer of /health. Returns the exit status: 0 if every deployment is in
/// service, 1 if one is not or the proxy refuses to tell, 3 if it does not answer.
int show_health(Asker& asker, const Say& say);

/// What `--test` does: a chat completion, then one that is streamed, by `model` or, if that is empty, by the
/// first model of the proxy's list. Returns the exit status: 0 if both were answered, 1 if not, 3 if the
/// proxy does not answer.
int show_test(Asker& asker, std::string model, const Say& say);

}  // namespace weir::proxy
