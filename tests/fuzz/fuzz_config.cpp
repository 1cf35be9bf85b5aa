// Configurations. Every one is usable, within the bounds that the program counts on, or an error
// says where.
#include <algorithm>
#include <optional>
#include <string>

#include "router/config.hpp"
#include "tests/fuzz/target.hpp"

using namespace weir::router;
using weir::test::promise;

namespace {

void check_usable(const RouterConfig& config) {
    for (const DeploymentConfig& deployment : config.model_list) {
        promise(!deployment.model_name.empty() && !deployment.id.empty(),
                "a deployment has a name");
        promise(
            !deployment.rpm || (*deployment.rpm >= 1 && *deployment.rpm < std::uint64_t{1} << 39),
            "rpm in range");
        promise(
            !deployment.tpm || (*deployment.tpm >= 1 && *deployment.tpm < std::uint64_t{1} << 39),
            "tpm in range");
    }
    promise(config.weir.window >= std::chrono::milliseconds(10), "a window is not too short");
    promise(config.weir.window <= std::chrono::hours(24 * 366), "a window is not too long");
    promise(!config.weir.segment.empty(), "a segment has a name");
    for (const KeyConfig& key : config.weir.keys) promise(!key.name.empty(), "a key has a name");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const Environment nothing = [](const std::string&) { return std::optional<std::string>(); };
    const LoadedConfig loaded = parse_config(std::string(weir::test::text_of(data, size)), nothing);
    if (loaded.ok()) {
        check_usable(loaded.config);
        return 0;
    }
    bool says = false;
    for (const Problem& problem : loaded.problems) {
        says = says || problem.severity == Problem::Severity::error;
        promise(problem.line >= 0 && !problem.message.empty(),
                "a problem has a place and a message");
        promise(to_string(problem, "f").find('\n') == std::string::npos, "a problem is one line");
    }
    promise(says, "a refusal says why");
    return 0;
}
