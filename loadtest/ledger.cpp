#include "loadtest/ledger.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace weir::loadtest {
namespace {

using Json = nlohmann::json;

[[noreturn]] void fail(std::string_view url, std::string_view why) {
    throw BadLedger(fmt::format("{}/__ledger: {}", url, why));
}

/// A number that must be there.
std::uint64_t number(std::string_view url, const Json& object, const char* name) {
    const auto found = object.find(name);
    if (found == object.end() || !found->is_number_unsigned()) {
        fail(url, fmt::format("expected a whole number in \"{}\"", name));
    }
    return found->get<std::uint64_t>();
}

Nanos time(std::string_view url, const Json& object, const char* name) {
    return Nanos(static_cast<std::int64_t>(number(url, object, name)));
}

Arrival::Verdict verdict(std::string_view url, const Json& arrival) {
    const auto found = arrival.find("verdict");
    if (found != arrival.end() && found->is_string()) {
        const auto& word = found->get_ref<const std::string&>();
        if (word == "accepted") return Arrival::Verdict::accepted;
        if (word == "refused") return Arrival::Verdict::refused;
        if (word == "failed") return Arrival::Verdict::failed;
    }
    fail(url, "expected \"accepted\", \"refused\" or \"failed\" as the verdict of an arrival");
}

}  // namespace

Ledger parse_ledger(std::string_view url, std::string_view text, const RoundTrip& trip) {
    const Json json = Json::parse(text, nullptr, false);
    if (!json.is_object()) fail(url, "expected a JSON object");
    const auto arrivals = json.find("arrivals");
    if (arrivals == json.end() || !arrivals->is_array()) fail(url, "expected a list in \"arrivals\"");
    const auto summary = json.find("summary");
    if (summary == json.end() || !summary->is_object()) fail(url, "expected an object in \"summary\"");

    Ledger ledger;
    ledger.url = url;
    if (const std::uint64_t rpm = number(url, json, "rpm"); rpm > 0) ledger.limit = rpm;
    ledger.dropped = number(url, *summary, "dropped");
    const Nanos made_at = time(url, json, "now_monotonic_ns");
    const bool is_our_clock = made_at >= trip.sent && made_at <= trip.received;
    const Nanos middle = trip.sent + (trip.received - trip.sent) / 2;
    const Nanos to_ours = is_our_clock ? Nanos(0) : middle - made_at;
    ledger.arrivals.reserve(arrivals->size());
    for (const Json& arrival : *arrivals) {
        if (!arrival.is_object()) fail(url, "expected objects in \"arrivals\"");
        ledger.arrivals.push_back(
            {time(url, arrival, "monotonic_ns") + to_ours, verdict(url, arrival)});
    }
    std::sort(ledger.arrivals.begin(), ledger.arrivals.end(),
              [](const Arrival& a, const Arrival& b) { return a.at < b.at; });
    return ledger;
}

}  // namespace weir::loadtest
