// Asks a model one question, by the configuration of a proxy:
//
//     ask config.yaml gpt-4o "Why is the sky blue?"
//
// Run it in as many processes as you like: together they keep the limits of the configuration.
#include <boost/asio/co_spawn.hpp>
#include <cstdio>
#include <exception>
#include <string>

#include "router/json_text.hpp"
#include "router/router.hpp"

namespace router = weir::router;

int main(int argc, char** argv) {
    if (argc != 4) {
        std::fprintf(stderr, "usage: ask CONFIG MODEL QUESTION\n");
        return 2;
    }
    const router::LoadedConfig loaded = router::load_config(argv[1]);
    for (const auto& problem : loaded.problems) {
        std::fprintf(stderr, "%s\n", router::to_string(problem, argv[1]).c_str());
    }
    if (!loaded.ok()) return 2;

    const std::string body = R"({"model":)" + router::json_string(argv[2]) +
                             R"(,"messages":[{"role":"user","content":)" +
                             router::json_string(argv[3]) + "}]}";
    try {
        router::asio::io_context io{1};
        router::Router weir(io, loaded.config);
        weir.start();
        router::Reply reply;
        router::asio::co_spawn(io.get_executor(), weir.complete(body),
                               [&](const std::exception_ptr& failure, router::Reply answer) {
                                   weir.stop();  // lets io.run() end
                                   if (failure) std::rethrow_exception(failure);
                                   reply = std::move(answer);
                               });
        io.run();
        std::printf("%s\n", reply.body.c_str());
        return reply.status == 200 ? 0 : 1;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "ask: %s\n", error.what());
        return 1;
    }
}
