// A program that routes with the installed weir::router.
#include <unistd.h>

#include <string>

#include "router/router.hpp"

int main() {
    using namespace weir;
    const std::string segment = "weir-package-router-" + std::to_string(::getpid());
    const router::LoadedConfig loaded = router::parse_config(
        "model_list:\n"
        "  - model_name: gpt\n"
        "    litellm_params: {model: openai/gpt-4o, api_base: 'http://127.0.0.1:9/v1', api_key: k, rpm: 5}\n"
        "weir_settings: {segment: " + segment + "}\n");
    if (!loaded.ok()) return 1;

    bool as_expected = false;
    {
        boost::asio::io_context io;
        router::Router router(io, loaded.config);
        as_expected = router.models() == std::vector<std::string>{"gpt"} && router.resolve("gpt") == "gpt";
    }
    shm::Segment::remove(segment);
    return as_expected ? 0 : 1;
}
