#include "shm/inspect_view.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "shm/inspect_table.hpp"
#include "shm/lease.hpp"

namespace weir::shm {

namespace {

// Ordered, so that the output reads like the table; bytes that are no UTF-8 are replaced, not
// thrown on.
using Json = nlohmann::ordered_json;

std::string dumped(const Json& json) {
    return json.dump(2, ' ', false, Json::error_handler_t::replace) + '\n';
}

std::string seconds_text(Nanos duration) {
    return fmt::format("{:.1f} s", to_seconds(duration));
}

std::string window_text(Nanos window) {
    constexpr Nanos kDay = std::chrono::hours(24);
    if (window >= kDay && window % kDay == Nanos(0)) return fmt::format("{} d", window / kDay);
    constexpr Nanos kHour = std::chrono::hours(1);
    if (window >= kHour && window % kHour == Nanos(0)) return fmt::format("{} h", window / kHour);
    return fmt::format("{} s", to_seconds(window));
}

const char* kind_name(Recorded kind) {
    switch (kind) {
        case Recorded::admit:
            return "admit";
        case Recorded::refuse:
            return "refuse";
        case Recorded::give_back:
            return "give_back";
        case Recorded::charge:
            return "charge";
        case Recorded::give_back_charge:
            return "give_back_charge";
    }
    return "unknown";
}

constexpr const char* kRed = "31";
constexpr const char* kYellow = "33";

Json contact_json(const LeaseContact& contact, Nanos now) {
    return {{"mode", to_string(contact.mode)},
            {"lease_ends_in_seconds", to_seconds(std::max(contact.until - now, Nanos(0)))},
            {"last_contact_seconds_ago", to_seconds(now - contact.answered)},
            {"ever_had_contact", contact.answered != Nanos(0)},
            {"hosts", contact.hosts}};
}

TextTable contact_table(const LeaseContact& contact, Nanos now) {
    const bool ever = contact.answered != Nanos(0);
    TextTable table({"MODE", ">LEASE ENDS IN", ">LAST CONTACT", ">HOSTS"});
    table.add({std::string(to_string(contact.mode)), seconds_text(std::max(contact.until - now, Nanos(0))),
               ever ? seconds_text(now - contact.answered) + " ago" : "never", fmt::to_string(contact.hosts)},
              contact.mode > LeaseMode::shared ? kRed : "");
    return table;
}

}  // namespace

std::string printable(std::string_view text) {
    std::string shown;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x20 || byte == 0x7f) {
            shown += fmt::format("\\x{:02x}", byte);
        } else {
            shown += c;
        }
    }
    return shown;
}

InspectView::InspectView(const Segment& segment, const ViewOptions& options)
    : segment_(segment), inspector_(segment), options_(options) {}

std::string InspectView::render(std::string_view view, Nanos now) {
    if (view == "list") return limiters(now);
    if (view == "participants") return participants(now);
    if (view == "gauges") return gauges();
    if (view == "waiting") return waiting(now);
    if (view == "hosts") return hosts(now);
    if (view == "health") return health(now);
    if (view == "cooldown") return cooldowns(now);
    if (view == "counters") return counters();
    if (view == "recorder") return recorder(now);
    if (view == "audit") return audit(now);
    if (view == "info") return info(now);
    throw std::invalid_argument(fmt::format("no view '{}'", view));
}

std::string InspectView::limiters(Nanos now) const {
    TextTable table(
        {"SCOPE", "NAME", "UNIT", ">WINDOW", ">LIMIT", ">USED", ">REMAINING", ">RESETS IN"});
    Json json = Json::array();
    for (const LimiterInfo& limiter : segment_.limiters(now)) {
        const LimiterUsage& usage = limiter.usage;
        json.push_back({{"scope", limiter.scope},
                        {"name", limiter.name},
                        {"unit", unit_name(limiter.unit)},
                        {"window_seconds", to_seconds(limiter.window)},
                        {"limit", usage.limit},
                        {"used", usage.used},
                        {"remaining", usage.remaining},
                        {"resets_in_seconds", to_seconds(usage.resets_in)}});
        table.add(
            {printable(limiter.scope), printable(limiter.name), unit_name(limiter.unit),
             window_text(limiter.window), fmt::to_string(usage.limit), fmt::to_string(usage.used),
             fmt::to_string(usage.remaining), seconds_text(usage.resets_in)},
            usage.remaining == 0 ? kRed : "");
    }
    if (options_.json) return dumped({{"segment", segment_.name()}, {"limiters", json}});
    if (table.empty()) return fmt::format("segment '{}': no limiters yet\n", segment_.name());
    return table.text(options_.colour);
}

std::string InspectView::participants(Nanos now) const {
    TextTable table({">SLOT", ">PID", "ROLE", ">JOINED", "STATE"});
    Json json = Json::array();
    for (const ParticipantInfo& who : segment_.participants()) {
        json.push_back({{"slot", who.slot},
                        {"pid", who.pid},
                        {"role", who.role},
                        {"joined_seconds_ago", to_seconds(now - who.joined)},
                        {"alive", who.alive}});
        table.add({fmt::to_string(who.slot), fmt::to_string(who.pid), printable(who.role),
                   seconds_text(now - who.joined) + " ago", who.alive ? "alive" : "dead"},
                  who.alive ? "" : kRed);
    }
    if (options_.json) return dumped({{"segment", segment_.name()}, {"participants", json}});
    if (table.empty()) return fmt::format("segment '{}': nobody has joined\n", segment_.name());
    return table.text(options_.colour);
}

std::string InspectView::gauges() const {
    TextTable table({"SCOPE", "NAME", ">IN FLIGHT", ">MAX"});
    Json json = Json::array();
    for (const GaugeInfo& gauge : inspector_.gauges()) {
        json.push_back({{"scope", gauge.scope},
                        {"name", gauge.name},
                        {"in_flight", gauge.in_flight},
                        {"max", gauge.max == 0 ? Json() : Json(gauge.max)}});
        table.add({printable(gauge.scope), printable(gauge.name), fmt::to_string(gauge.in_flight),
                   gauge.max == 0 ? "-" : fmt::to_string(gauge.max)},
                  gauge.max != 0 && gauge.in_flight >= gauge.max ? kRed : "");
    }
    if (options_.json) return dumped({{"segment", segment_.name()}, {"gauges", json}});
    if (table.empty()) return fmt::format("segment '{}': no gauges yet\n", segment_.name());
    return table.text(options_.colour);
}

std::string InspectView::waiting(Nanos now) const {
    TextTable table({"FOR", "NAME", ">SLOT", ">PRIORITY", ">SINCE"});
    Json json = Json::array();
    for (const WaiterInfo& waiter : inspector_.waiters()) {
        const Nanos since = std::max(Nanos(0), now - waiter.place.arrival);
        json.push_back({{"scope", waiter.scope},
                        {"name", waiter.name},
                        {"slot", waiter.participant},
                        {"priority", waiter.place.priority},
                        {"since_seconds", to_seconds(since)}});
        table.add({printable(waiter.scope), printable(waiter.name), fmt::to_string(waiter.participant),
                   fmt::to_string(waiter.place.priority), seconds_text(since)});
    }
    if (options_.json) return dumped({{"segment", segment_.name()}, {"waiting", json}});
    if (table.empty()) return fmt::format("segment '{}': nobody waits\n", segment_.name());
    return table.text(options_.colour);
}

std::string InspectView::health(Nanos now) const {
    TextTable table({"SCOPE", "NAME", ">IN FLIGHT", ">COOLDOWN", ">FAILURES", ">SUCCESSES", ">IN A ROW",
                     ">LATENCY", ">FIRST TOKEN", ">B/TOKEN", ">COMPLETION"});
    Json json = Json::array();
    for (const HealthInfo& entry : inspector_.healths(now)) {
        const HealthSnapshot& health = entry.health;
        const Nanos cooldown = health.cooldown_until > now ? health.cooldown_until - now : Nanos(0);
        json.push_back({{"scope", entry.scope},
                        {"name", entry.name},
                        {"in_flight", entry.in_flight},
                        {"cooldown_seconds", to_seconds(cooldown)},
                        {"failures", health.failures},
                        {"successes", health.successes},
                        {"failures_in_a_row", health.failures_in_a_row},
                        {"latency_avg_seconds", to_seconds(health.latency_avg)},
                        {"ttft_avg_seconds", to_seconds(health.ttft_avg)},
                        {"samples", health.samples},
                        {"bytes_per_prompt_token", entry.learned.bytes_per_prompt_token},
                        {"completion_tokens", entry.learned.completion_tokens},
                        {"usages", entry.learned.samples}});
        table.add(
            {printable(entry.scope), printable(entry.name), fmt::to_string(entry.in_flight),
             cooldown == Nanos(0) ? "-" : seconds_text(cooldown), fmt::to_string(health.failures),
             fmt::to_string(health.successes), fmt::to_string(health.failures_in_a_row),
             fmt::format("{:.0f} ms", to_seconds(health.latency_avg) * 1e3),
             fmt::format("{:.0f} ms", to_seconds(health.ttft_avg) * 1e3),
             fmt::format("{:.2f}", entry.learned.bytes_per_prompt_token),
             fmt::format("{:.0f}", entry.learned.completion_tokens)},
            cooldown == Nanos(0) ? "" : kYellow);
    }
    if (options_.json) return dumped({{"segment", segment_.name()}, {"health", json}});
    if (table.empty()) return fmt::format("segment '{}': no health records yet\n", segment_.name());
    return table.text(options_.colour);
}

std::string InspectView::cooldowns(Nanos now) const {
    TextTable table({"DEPLOYMENT", ">BACK IN", ">FAILURES", ">LAST FAILURE"});
    Json json = Json::array();
    for (const HealthInfo& entry : inspector_.healths(now)) {
        const HealthSnapshot& health = entry.health;
        if (health.cooldown_until <= now) continue;
        const Nanos left = health.cooldown_until - now;
        // A quota that is used up takes a deployment out of service without any failure.
        const bool failed = health.last_failure != Nanos(0);
        const Nanos ago = std::max(Nanos(0), now - health.last_failure);
        json.push_back({{"name", entry.name},
                        {"cooldown_seconds", to_seconds(left)},
                        {"failures", health.failures},
                        {"last_failure_seconds_ago", failed ? Json(to_seconds(ago)) : Json()}});
        table.add({printable(entry.name), seconds_text(left), fmt::to_string(health.failures),
                   failed ? seconds_text(ago) + " ago" : "-"});
    }
    if (options_.json) return dumped({{"segment", segment_.name()}, {"cooldowns", json}});
    if (table.empty()) return fmt::format("segment '{}': nothing cools down\n", segment_.name());
    return table.text(options_.colour);
}

std::string InspectView::counters() const {
    TextTable table({"COUNTER", ">VALUE", "UNIT", "MEANING"});
    Json own = Json::array();
    for (const auto& counter : segment_.own_counters()) {
        own.push_back({{"name", counter.name},
                       {"value", counter.value},
                       {"unit", counter.unit},
                       {"help", counter.help}});
        table.add({std::string(counter.name), fmt::to_string(counter.value),
                   std::string(counter.unit), std::string(counter.help)});
    }
    Json named = Json::array();
    segment_.each_counter([&](std::string_view name, std::uint64_t value) {
        named.push_back({{"name", name}, {"value", value}});
        table.add({printable(name), fmt::to_string(value)});
    });
    if (options_.json)
        return dumped({{"segment", segment_.name()}, {"own", own}, {"counters", named}});
    return table.text(options_.colour);
}

std::string InspectView::recorder(Nanos now) const {
    TextTable table({">AGO", ">SLOT", "DECISION", ">UNITS", "LIMITER"});
    Json json = Json::array();
    for (const DecisionInfo& info : inspector_.decisions(options_.decisions_max)) {
        const Nanos time(static_cast<std::int64_t>(info.decided.time_ns));
        json.push_back({{"time_ns", info.decided.time_ns},
                        {"participant", info.participant},
                        {"kind", kind_name(info.decided.kind)},
                        {"units", info.decided.units},
                        {"limiter", info.limiter.empty() ? Json() : Json(info.limiter)}});
        table.add({fmt::format("{:.3f} s", to_seconds(now - time)), fmt::to_string(info.participant),
                   kind_name(info.decided.kind), fmt::to_string(info.decided.units),
                   info.limiter.empty() ? "(evicted)" : printable(info.limiter)},
                  info.decided.kind == Recorded::refuse ? kYellow : "");
    }
    if (options_.json) return dumped({{"segment", segment_.name()}, {"decisions", json}});
    if (table.empty()) return fmt::format("segment '{}': nothing recorded yet\n", segment_.name());
    return table.text(options_.colour);
}

std::string InspectView::audit(Nanos now) {
    const AuditReport report = inspector_.audit();
    violated_ = report.violated;
    TextTable table({"SCOPE", "NAME", "UNIT", ">WINDOW", ">LIMIT", ">WORST WINDOW", ">ADMITTED",
                     ">REFUSED", ">BEYOND", "VERDICT"});
    Json json = Json::array();
    for (const AuditInfo& info : report.limiters) {
        const AuditFinding& finding = info.finding;
        json.push_back({{"scope", info.scope},
                        {"name", info.name},
                        {"unit", unit_name(info.unit)},
                        {"window_seconds", to_seconds(finding.limiter.window)},
                        {"limit", finding.limiter.limit},
                        {"worst_window", finding.worst},
                        {"worst_at_ns", finding.worst_at.count()},
                        {"admitted", finding.admitted},
                        {"refusals", finding.refusals},
                        {"charged_beyond", finding.beyond},
                        {"violated", finding.violated()}});
        table.add({printable(info.scope), printable(info.name), unit_name(info.unit),
                   window_text(finding.limiter.window), fmt::to_string(finding.limiter.limit),
                   fmt::to_string(finding.worst), fmt::to_string(finding.admitted),
                   fmt::to_string(finding.refusals), fmt::to_string(finding.beyond),
                   finding.violated() ? "VIOLATED" : "held"},
                  finding.violated() ? kRed : "");
    }
    // From the first moment that every ring still holds; before the first decision there is nothing
    // to miss.
    const bool whole = report.covered_since == Nanos(0);
    if (options_.json) {
        return dumped({{"segment", segment_.name()},
                       {"violated", report.violated},
                       {"decisions", report.decisions},
                       {"complete", whole},
                       {"covered_since_ns", report.covered_since.count()},
                       {"covered_until_ns", report.covered_until.count()},
                       {"limiters", json}});
    }
    const std::string span = whole ? std::string("every decision since the segment was made")
                                   : fmt::format("the last {}; older ones were overwritten",
                                                 seconds_text(now - report.covered_since));
    return table.text(options_.colour) +
           fmt::format("\n{} decisions, covering {}: {}\n", report.decisions, span,
                       report.violated ? "A LIMIT WAS VIOLATED" : "every limit held");
}

/// What this host has of the limits that it shares with others, and how its contact with them stands.
std::string InspectView::hosts(Nanos now) const {
    const LeaseBoard board(segment_);
    const LeaseContact contact = board.contact();
    const bool alone = contact.seen == Nanos(0);
    TextTable leases({"SCOPE", "NAME", "UNIT", ">WINDOW", ">LIMIT", ">LEASE", ">USED"});
    Json limits = Json::array();
    for (const SharedLimit& limit : board.limits()) {
        const LeaseReading reading = board.read(limit, now);
        const bool window = limit.window != Nanos(0);
        const char* unit = window ? unit_name(limit.unit) : "in_flight";
        limits.push_back({{"scope", limit.scope},
                          {"name", limit.name},
                          {"unit", unit},
                          {"window_seconds", to_seconds(limit.window)},
                          {"limit", reading.full},
                          {"lease", reading.lease},
                          {"used", reading.used}});
        leases.add({printable(limit.scope), printable(limit.name), unit,
                    window ? window_text(limit.window) : std::string(),
                    fmt::to_string(reading.full), fmt::to_string(reading.lease),
                    fmt::to_string(reading.used)});
    }
    if (options_.json) {
        return dumped({{"segment", segment_.name()},
                       {"contact", alone ? Json() : contact_json(contact, now)},
                       {"limits", limits}});
    }
    if (alone) return fmt::format("segment '{}': this host is alone\n", segment_.name());
    return contact_table(contact, now).text(options_.colour) + '\n' + leases.text(options_.colour);
}

std::string InspectView::info(Nanos now) const {
    const SegmentInfo info = inspector_.info();
    if (options_.json) {
        return dumped({{"segment", segment_.name()},
                       {"size_bytes", info.size_bytes},
                       {"layout", fmt::format("{:016x}", info.fingerprint)},
                       {"age_seconds", to_seconds(now - info.created)},
                       {"limiters_max", info.limiters_max},
                       {"gauges_max", info.gauges_max},
                       {"healths_max", info.healths_max},
                       {"counters_max", info.counters_max},
                       {"lines_max", info.lines_max},
                       {"participants_max", info.participants_max},
                       {"decisions_kept", info.decisions_kept}});
    }
    TextTable table({"SEGMENT", segment_.name()});
    table.add({"size", fmt::format("{} bytes", info.size_bytes)});
    table.add({"layout", fmt::format("{:016x}", info.fingerprint)});
    table.add({"age", seconds_text(now - info.created)});
    table.add(
        {"room",
         fmt::format("{} limiters, {} gauges, {} health records, {} counters, {} waiting lines, "
                     "{} participants",
                     info.limiters_max, info.gauges_max, info.healths_max, info.counters_max,
                     info.lines_max, info.participants_max)});
    table.add({"recorder",
               fmt::format("the last {} decisions of each participant", info.decisions_kept)});
    return table.text(options_.colour);
}

}  // namespace weir::shm
