// weir-inspect: shows what a segment holds, replays its flight recorder, ends cooldowns, and removes it.
// Exit codes: 0 done, 1 an audit found a violated limit, 2 usage, 3 there is no such segment or
// deployment, or it cannot be read, 4 it is in use and is not removed.
#include <time.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <string>
#include <vector>

#include "shm/file_lock.hpp"
#include "shm/health.hpp"
#include "shm/inspect_view.hpp"
#include "shm/layout.hpp"
#include "shm/shm_file.hpp"

namespace {

using weir::shm::InspectView;
using weir::shm::Segment;
using weir::shm::SegmentError;

constexpr int kDone = 0;
constexpr int kViolated = 1;
constexpr int kUsage = 2;
constexpr int kNoSegment = 3;
constexpr int kInUse = 4;

struct Options {
    std::string segment = "weir";
    bool json = false;
    bool watch = false;
    bool force = false;
    std::size_t last = 40;
    std::string view = "list";
    std::vector<std::string> clear;  // deployments whose cooldown is to end
};

void write_all(const std::string& text) {
    std::size_t written = 0;
    while (written < text.size()) {
        const ssize_t done = ::write(STDOUT_FILENO, text.data() + written, text.size() - written);
        if (done <= 0) return;
        written += static_cast<std::size_t>(done);
    }
}

int show(const Options& options) {
    const bool terminal = ::isatty(STDOUT_FILENO) == 1;
    for (;;) {
        const Segment segment = Segment::attach(options.segment);
        InspectView view(segment, {options.json, terminal, options.last});
        const std::string text = view.render(options.view, weir::shm::now());
        if (options.watch && terminal) write_all("\x1b[H\x1b[2J");
        write_all(text);
        if (!options.watch) return view.violated() ? kViolated : kDone;
        const timespec pause{1, 0};
        if (::nanosleep(&pause, nullptr) != 0) return kDone;
    }
}

/// Whether a participant holds its lock on the segment's file, of whatever layout it is; also a stopped one.
bool in_use(const std::string& name) {
    weir::shm::check_name(name);
    const weir::shm::OwnedFile file = weir::shm::open_named(name, false);
    return file && weir::shm::locked_by_another(file.fd(), weir::shm::kLockParticipants,
                                                weir::shm::WaitingRecord::kParticipantsMax);
}

int remove(const Options& options) {
    if (!options.force && in_use(options.segment)) {
        std::cerr << "weir-inspect: segment '" << options.segment
                  << "' is in use (see `weir-inspect participants`). Stop its programs first. With --force "
                     "the name is removed all the same: programs of this version then go over to a new "
                     "segment of that name, with what they have used; stopped or older ones count by "
                     "themselves, so that limits hold twice.\n";
        return kInUse;
    }
    if (Segment::remove(options.segment)) {
        write_all("removed segment '" + options.segment + "'\n");
        return kDone;
    }
    std::cerr << "weir-inspect: segment '" << options.segment << "': there is none\n";
    return kNoSegment;
}

/// All of them or none: a name that is mistyped is found out before anything is changed.
int clear_cooldowns(const Options& options) {
    const Segment segment = Segment::attach(options.segment, Segment::Access::write);
    std::vector<weir::shm::Health> deployments;
    for (const std::string& name : options.clear) {
        deployments.push_back(segment.find_health("deployment", name));
        if (deployments.back()) continue;
        std::cerr << "weir-inspect: segment '" << options.segment << "': no deployment '" << name << "'\n";
        return kNoSegment;
    }
    for (std::size_t i = 0; i < deployments.size(); ++i) {
        const bool cooling = weir::shm::cooldown_until(deployments[i]) > weir::shm::now();
        weir::shm::clear_cooldown(deployments[i]);
        write_all("'" + weir::shm::printable(options.clear[i]) +
                  (cooling ? "' is back in service\n" : "' was in service already\n"));
    }
    return kDone;
}

void add_views(CLI::App& app, Options& options) {
    const auto add = [&](const char* name, const char* help) {
        return app.add_subcommand(name, help)->fallthrough()->callback([&options, name] {
            options.view = name;
        });
    };
    add("list", "limiters with limit, used, remaining and time to reset (the default)");
    add("participants", "who has joined");
    add("gauges", "what is in flight");
    add("waiting", "who waits for capacity: of each process the first, in the order of their turns");
    add("hosts", "this host among those that share its limits: mode, contact, leases");
    add("health", "deployments: cooldown, failures, latency; models: learned sizes");
    add("cooldown", "deployments that are out of service, and for how long")
        ->add_option("--clear", options.clear, "put it back into service at once; may be repeated")
        ->type_name("NAME");
    add("counters", "sums, Weir's own and those of the programs");
    add("recorder", "the last decisions")
        ->add_option("--last", options.last, "how many")
        ->check(CLI::Range(1, 1'000'000))
        ->capture_default_str();
    add("audit",
        "replay the flight recorder: the fullest window of each limiter; exits 1 on a violation");
    add("info", "size, capacity and layout of the segment");
    add("remove", "remove the segment's name, unless a program uses it")
        ->add_flag("--force", options.force, "also if programs use it, which then go over to a new one");
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    CLI::App app{"Shows the rate limits that the processes of this host share.", "weir-inspect"};
    app.set_version_flag("--version", WEIR_VERSION);
    app.add_option("-s,--segment", options.segment, "name of the segment")->capture_default_str();
    app.add_flag("--json", options.json, "machine-readable output");
    app.add_flag("-w,--watch", options.watch, "repeat every second");
    app.require_subcommand(0, 1);
    app.footer("Exit codes: 0 done, 1 a limit was violated, 2 usage, 3 no such segment or deployment, "
               "4 in use.");
    add_views(app, options);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? kDone : kUsage;
    }
    try {
        if (!options.clear.empty()) return clear_cooldowns(options);
        return options.view == "remove" ? remove(options) : show(options);
    } catch (const SegmentError& error) {
        std::cerr << "weir-inspect: " << error.what() << '\n';
        return error.reason() == weir::shm::Attach::bad_name ? kUsage : kNoSegment;
    } catch (const std::exception& error) {
        std::cerr << "weir-inspect: " << error.what() << '\n';
        return kNoSegment;
    }
}
