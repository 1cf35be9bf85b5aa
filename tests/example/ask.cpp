// Asks a model one question, by the configuration of a proxy:
//
//     ask config.yaml gpt-4o ann "Why is the sky blue?"
//
// Run it in as many processes as you like: together they keep the limits of the configuration, and one of
// this program's own: nobody, ann for one, may ask more than three times a minute.
#include <boost/asio/co_spawn.hpp>
#include <chrono>
#include <cstdio>
#include <exception>
#include <string>

#include "router/json_text.hpp"
#include "router/router.hpp"

namespace router = weir::router;

int main(int argc, char** argv) {
    if (argc != 5) {
        std::fprintf(stderr, "usage: ask CONFIG MODEL WHO QUESTION\n");
        return 2;
    }
    const router::LoadedConfig loaded = router::load_config(argv[1]);
    for (const auto& problem : loaded.problems) {
        std::fprintf(stderr, "%s\n", router::to_string(problem, argv[1]).c_str());
    }
    if (!loaded.ok()) return 2;

    const std::string body = R"({"model":)" + router::json_string(argv[2]) +
                             R"(,"messages":[{"role":"user","content":)" +
                             router::json_string(argv[4]) + "}]}";
    try {
        router::asio::io_context io{1};
        router::Router weir(io, loaded.config);
        weir.start();

        router::Scope asks{"asker", argv[3], weir::shm::Unit::requests, std::chrono::minutes(1), 3, {}};
        asks.look_up(weir.segment());
        router::Scope* const limits[] = {&asks};
        router::CompleteOptions options;
        options.caller.scopes = limits;                // charged with the deployment's limits, or not at all
        options.max_wait = std::chrono::seconds(5);  // rather than be refused at once

        router::Reply reply;
        router::asio::co_spawn(io.get_executor(), weir.complete(body, options),
                               [&](const std::exception_ptr& failure, router::Reply answer) {
                                   weir.stop();  // lets io.run() end
                                   if (failure) std::rethrow_exception(failure);
                                   reply = std::move(answer);
                               });
        io.run();
        std::printf("%s\n", reply.body.c_str());
        if (reply.retry_after) {
            std::printf("ask again in %.1f s\n", weir::shm::to_seconds(*reply.retry_after));
        }
        return reply.status == 200 ? 0 : 1;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "ask: %s\n", error.what());
        return 1;
    }
}
