#include "shm/inspect_view.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "scratch_segment.hpp"
#include "shm/health.hpp"
#include "shm/inspect_table.hpp"
#include "shm/layout.hpp"
#include "shm/lease.hpp"
#include "shm/lines.hpp"
#include "shm/segment.hpp"

using namespace weir::shm;
using nlohmann::json;
using weir::shm::test::ScratchName;
using Catch::Matchers::Contains;

namespace {

/// A segment in which a little of everything has happened.
struct Busy {
    ScratchName scratch;
    Segment segment = Segment::open(scratch.options());
    Participant me = segment.join("worker \x1b[31m1");
    Nanos t{};

    Busy() {
        const Charge charge{segment.limiter({"key", "alice"}, 2), 1};
        t = now();  // after the limit was set: the audit starts there
        const Gauge gauge = segment.gauge("key", "alice", 1);
        for (int i = 0; i < 3; ++i) (void)me.admit({{&charge, 1}, {}}, t);
        const Gauge gauges[] = {gauge, segment.gauge("deployment", "gpt-1", 0)};
        Admission held = me.admit({{}, gauges}, t);
        REQUIRE(held.admitted());
        ticket = std::move(held.ticket);
        const Health health = segment.health("deployment", "gpt-1");
        set_cooldown(health, t + std::chrono::seconds(30));
        Segment::add(segment.counter("requests_total"), 7);
    }
    ~Busy() { ticket.cancel(t); }
    Ticket ticket;

    json shown(std::string_view view) {
        ViewOptions options;
        options.json = true;
        return json::parse(InspectView(segment, options).render(view, t));
    }
    std::string text(std::string_view view, bool colour = false) {
        ViewOptions options;
        options.colour = colour;
        return InspectView(segment, options).render(view, t);
    }
};

}  // namespace

TEST_CASE("columns are as wide as their widest cell, numbers to the right, nothing trails") {
    TextTable table({"NAME", ">N", "NOTE"});
    CHECK(table.empty());
    table.add({"a", "1000", "x"});
    table.add({"longer", "2"});
    CHECK(table.text(false) ==
          "NAME       N  NOTE\n"
          "a       1000  x\n"
          "longer     2\n");
}

TEST_CASE("colour marks whole rows, and only when it is asked for") {
    TextTable table({"NAME"});
    table.add({"a"}, "31");
    CHECK(table.text(true) == "\x1b[1mNAME\x1b[0m\n\x1b[31ma\x1b[0m\n");
    CHECK(table.text(false) == "NAME\na\n");
}

TEST_CASE("what a terminal could act on is shown, not sent") {
    CHECK(printable("a\x1b[2Jb\n\x7f") == "a\\x1b[2Jb\\x0a\\x7f");
    CHECK(printable("\u00fc\u20ac") == "\u00fc\u20ac");
    Busy busy;
    CHECK_THAT(busy.text("participants"), Contains("worker \\x1b[31m1"));
    CHECK(busy.shown("participants")["participants"][0]["role"] == "worker \x1b[31m1");
}

TEST_CASE("limiters are listed with what is used and left") {
    Busy busy;
    const json limiter = busy.shown("list")["limiters"].at(0);
    CHECK(limiter["scope"] == "key");
    CHECK(limiter["name"] == "alice");
    CHECK(limiter["unit"] == "requests");
    CHECK(limiter["window_seconds"] == 60.0);
    CHECK(limiter["limit"] == 2);
    CHECK(limiter["used"] == 2);
    CHECK(limiter["remaining"] == 0);
    CHECK(limiter["resets_in_seconds"].get<double>() > 50);
    CHECK_THAT(busy.text("list"), Contains("key    alice  requests    60 s"));
    CHECK_THAT(busy.text("list", true), Contains("\x1b[31m"));  // full
}

TEST_CASE("gauges, health and counters show what is in the segment") {
    Busy busy;
    const json gauge = busy.shown("gauges")["gauges"].at(0);
    CHECK(gauge["in_flight"] == 1);
    CHECK(gauge["max"] == 1);
    const json health = busy.shown("health")["health"].at(0);
    CHECK(health["name"] == "gpt-1");
    CHECK(health["cooldown_seconds"] == 30.0);
    CHECK(health["in_flight"] == 1);  // of the gauge of its name
    const json counters = busy.shown("counters");
    CHECK(counters["counters"].at(0) == json({{"name", "requests_total"}, {"value", 7}}));
    for (const json& own : counters["own"]) {
        if (own["name"] == "admitted") CHECK(own["value"] == 3);
        if (own["name"] == "refused") CHECK(own["value"] == 1);
    }
    const json cooling = busy.shown("cooldown")["cooldowns"];
    REQUIRE(cooling.size() == 1);
    CHECK(cooling[0]["name"] == "gpt-1");
    CHECK(cooling[0]["cooldown_seconds"] == 30.0);
    for (const auto* view : {"gauges", "health", "cooldown", "counters"})
        CHECK(busy.text(view).find('\n') > 0);
}

TEST_CASE("the recorder's view and the audit tell the same story") {
    Busy busy;
    const json decisions = busy.shown("recorder")["decisions"];
    REQUIRE(decisions.size() == 3);
    CHECK(decisions.at(2)["kind"] == "refuse");
    CHECK(decisions.at(2)["limiter"] == "key:alice requests");
    ViewOptions options;
    options.json = true;
    InspectView view(busy.segment, options);
    const json audit = json::parse(view.render("audit", busy.t));
    CHECK_FALSE(view.violated());
    CHECK(audit["violated"] == false);
    CHECK(audit["complete"] == true);
    CHECK(audit["limiters"].at(0)["worst_window"] == 2);
    CHECK_THAT(busy.text("audit"), Contains("every limit held"));
}

TEST_CASE("a limit that was broken is called so") {
    Busy busy;
    // Nobody breaks one through the front door: it is lowered behind the auditor's back.
    const Limiter limiter = busy.segment.limiter({"key", "alice"}, 2);
    limiter.record->state.limit.store(1, std::memory_order_relaxed);  // ORDER(counter): one thread
    InspectView view(busy.segment, {});
    CHECK_THAT(view.render("audit", busy.t), Contains("VIOLATED") && Contains("A LIMIT WAS VIOLATED"));
    CHECK(view.violated());
}

TEST_CASE("an empty segment says so, and what it has room for") {
    const ScratchName scratch;
    const Segment segment = Segment::open(scratch.options());
    InspectView view(segment, {});
    CHECK_THAT(view.render("list", now()), Contains("no limiters yet"));
    CHECK_THAT(view.render("participants", now()), Contains("nobody has joined"));
    CHECK_THAT(view.render("gauges", now()), Contains("no gauges yet"));
    CHECK_THAT(view.render("health", now()), Contains("no health records yet"));
    CHECK_THAT(view.render("cooldown", now()), Contains("nothing cools down"));
    CHECK_THAT(view.render("recorder", now()), Contains("nothing recorded yet"));
    CHECK_THAT(view.render("info", now()), Contains("1048576 bytes"));
    CHECK_THROWS_AS(view.render("nonsense", now()), std::invalid_argument);
}

TEST_CASE_METHOD(Busy, "hosts: nobody else, or this host's part of what it shares with them") {
    CHECK_THAT(text("hosts"), Contains("this host is alone"));
    segment.shared_limiter({"key", "together"}, 100);
    LeaseBoard board(segment);
    board.set_lease(board.limits().at(0), 40, t);
    CHECK(shown("hosts").at("contact").is_null());
    LeaseContact contact;
    contact.mode = LeaseMode::share;
    contact.seen = t;
    contact.answered = t - std::chrono::seconds(9);
    contact.hosts = 3;
    board.set_contact(contact);
    const json shown = this->shown("hosts");
    REQUIRE(shown.at("limits").size() == 1);
    CHECK(shown.at("limits").at(0).at("limit") == 100);
    CHECK(shown.at("limits").at(0).at("lease") == 40);
    CHECK(shown.at("contact").at("mode") == "share");
    CHECK(shown.at("contact").at("hosts") == 3);
    CHECK_THAT(text("hosts"), Contains("together"));
    CHECK_THAT(text("hosts"), Contains("9.0 s ago"));
}

TEST_CASE("who waits is shown in the order of their turns") {
    Busy busy;
    CHECK(busy.text("waiting") == "segment '" + busy.scratch.name + "': nobody waits\n");
    Lines mine(busy.segment, busy.me);
    Participant other = busy.segment.join("other");
    Lines others(busy.segment, other);
    const Line line = busy.segment.line("group", "gpt");
    mine.set_front(line, {128, busy.t - std::chrono::seconds(3)});
    others.set_front(line, {7, busy.t - std::chrono::seconds(1)});
    const json waiting = busy.shown("waiting")["waiting"];
    REQUIRE(waiting.size() == 2);
    CHECK(waiting[0]["slot"] == others.slot());
    CHECK(waiting[0]["priority"] == 7);
    CHECK(waiting[1]["scope"] == "group");
    CHECK(waiting[1]["name"] == "gpt");
    CHECK(waiting[1]["since_seconds"].get<double>() == Approx(3));
    CHECK_THAT(busy.text("waiting"), Contains("gpt"));
}
