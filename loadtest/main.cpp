// weir-loadtest: batches of concurrent requests, and a verdict on the limits.
#include "loadtest/options.hpp"
#include "loadtest/run.hpp"

int main(int argc, char** argv) {
    const auto line = weir::loadtest::parse_command_line(argc, argv, WEIR_VERSION);
    return line.exit_status ? *line.exit_status : weir::loadtest::run(line.options);
}
