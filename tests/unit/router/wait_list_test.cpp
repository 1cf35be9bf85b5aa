#include "router/wait_list.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <deque>
#include <map>
#include <random>
#include <vector>

using namespace weir::router;
using namespace std::chrono_literals;
using weir::shm::Nanos;
using Id = WaitList::Id;

namespace {

/// An exact sliding window, to wait for.
class Window {
 public:
    Window(std::size_t limit, Nanos length) : limit_(limit), length_(length) {}
    bool admit(Nanos now) {
        while (!taken_.empty() && taken_.front() + length_ <= now) taken_.pop_front();
        if (taken_.size() >= limit_) return false;
        taken_.push_back(now);
        return true;
    }
    Nanos earliest() const { return taken_.front() + length_; }

 private:
    std::size_t limit_;
    Nanos length_;
    std::deque<Nanos> taken_;
};

std::vector<Id> order_of(WaitList& list, Nanos now = 0s) {
    std::vector<Id> ids;
    while (const auto id = list.next(now)) {
        ids.push_back(*id);
        list.remove(*id);
    }
    return ids;
}

}  // namespace

TEST_CASE("the order is by priority, then by arrival") {
    WaitList list(100);
    std::vector<Id> ids;
    for (const std::uint8_t priority : std::initializer_list<std::uint8_t>{5, 1, 5, 0, 255, 1})
        ids.push_back(*list.add({1, priority, 0s, 10s}));
    CHECK(order_of(list) == std::vector<Id>{ids[3], ids[1], ids[5], ids[0], ids[2], ids[4]});
    CHECK(list.size() == 0);
    CHECK(list.next_event() == WaitList::kNever);
}

TEST_CASE("only the head of a lane tries, and a stuck lane holds up no other") {
    WaitList list(100);
    const auto stuck = *list.add({1, 0, 50s, 99s});
    const auto behind = *list.add({1, 9, 0s, 99s});
    const auto other = *list.add({2, 9, 0s, 99s});
    CHECK(list.next(0s) == other);
    list.remove(other);
    CHECK_FALSE(list.next(0s).has_value());
    CHECK(list.next_event() == 50s);
    CHECK(list.next(50s) == stuck);
    list.postpone(stuck, 60s, 1);
    CHECK_FALSE(list.next(55s).has_value());
    list.remove(stuck);
    CHECK(list.next(55s) == behind);
}

TEST_CASE("newcomers do not overtake, but a higher priority does") {
    WaitList list(100);
    CHECK_FALSE(list.has_ahead(1, 255));
    const auto id = *list.add({1, 10, 0s, 10s});
    CHECK(list.has_ahead(1, 10));
    CHECK(list.has_ahead(1, 200));
    CHECK_FALSE(list.has_ahead(1, 9));
    CHECK_FALSE(list.has_ahead(2, 200));
    list.remove(id);
    CHECK_FALSE(list.has_ahead(1, 200));
}

TEST_CASE("a list that is full takes nobody") {
    WaitList list(2);
    const auto first = list.add({});
    CHECK(list.add({}).has_value());
    CHECK_FALSE(list.add({}).has_value());
    list.remove(*first);
    CHECK(list.add({}).has_value());
    CHECK_FALSE(WaitList(0).add({}).has_value());
}

TEST_CASE("deadlines come up in their order, wherever one stands") {
    WaitList list(10);
    const auto late = *list.add({1, 0, 90s, 30s});
    const auto soon = *list.add({1, 9, 90s, 20s});
    CHECK(list.next_event() == 20s);
    CHECK_FALSE(list.expired(19s).has_value());
    CHECK(list.expired(40s) == soon);
    list.remove(soon);
    CHECK(list.expired(40s) == late);
    list.remove(late);
    CHECK_FALSE(list.expired(40s).has_value());
    list.remove(late);  // again is harmless
    list.postpone(late, 1s, 1);
    CHECK(list.size() == 0);
}

TEST_CASE("capacity that comes back early wakes the head") {
    WaitList list(10);
    const auto a = *list.add({1, 0, 50s, 99s});
    const auto b = *list.add({2, 0, 60s, 99s});
    list.wake(3, 5s);
    CHECK_FALSE(list.next(5s).has_value());
    list.wake(1, 5s);
    CHECK(list.next(5s) == a);
    list.postpone(a, 50s, 1);
    list.wake_all(6s);
    CHECK(list.next(6s) == a);
    list.remove(a);
    CHECK(list.next(6s) == b);
}

TEST_CASE("who meets another obstacle moves to that lane, by its arrival") {
    WaitList list(10);
    const auto first = *list.add({1, 5, 0s, 99s});
    const auto second = *list.add({2, 5, 0s, 99s});
    list.postpone(first, 0s, 2);
    CHECK_FALSE(list.has_ahead(1, 255));
    CHECK(order_of(list) == std::vector<Id>{first, second});
}

TEST_CASE("600 requests over a quota of 200 a window all pass within three windows, in order") {
    Window window(200, 60s);
    WaitList list(1000);
    std::vector<Id> waiting;
    std::vector<Id> served;
    std::size_t at_once = 0;
    Nanos now = 1s;
    for (int i = 0; i < 600; ++i) {
        if (!list.has_ahead(7, 0) && window.admit(now)) {
            ++at_once;
        } else {
            waiting.push_back(*list.add({7, 0, window.earliest(), now + 180s}));
        }
    }
    CHECK(at_once == 200);
    int tries = 0;
    while (list.size() > 0) {
        now = std::max(now, list.next_event());
        CHECK_FALSE(list.expired(now).has_value());
        while (const auto id = list.next(now)) {
            ++tries;
            if (window.admit(now)) {
                served.push_back(*id);
                list.remove(*id);
            } else {
                list.postpone(*id, window.earliest(), 7);
            }
        }
        REQUIRE(tries < 1000);
    }
    CHECK(served == waiting);
    CHECK(now <= 1s + 120s);
    CHECK(tries <= 402);  // nobody polls
}

TEST_CASE("any sequence of calls keeps the order that a plain list would have") {
    struct Plain {
        Id id;
        WaitList::Waiter waiter;
    };
    std::mt19937_64 random(4);
    WaitList list(40);
    std::vector<Plain> plain;
    for (int step = 0; step < 50'000; ++step) {
        const Nanos now = std::chrono::milliseconds(step);
        const auto lane = random() % 4;
        switch (random() % 6) {
            case 0:
            case 1: {
                const WaitList::Waiter w{lane, static_cast<std::uint8_t>(random() % 3),
                                         now + std::chrono::milliseconds(random() % 20),
                                         now + std::chrono::milliseconds(random() % 60)};
                const auto id = list.add(w);
                REQUIRE(id.has_value() == (plain.size() < 40));
                if (id) plain.push_back({*id, w});
                break;
            }
            case 2: {
                if (plain.empty()) break;
                const auto at = random() % plain.size();
                list.remove(plain[at].id);
                plain.erase(plain.begin() + static_cast<std::ptrdiff_t>(at));
                break;
            }
            case 3: {
                if (plain.empty()) break;
                auto& p = plain[random() % plain.size()];
                p.waiter.lane = lane;
                p.waiter.ready_at = now + std::chrono::milliseconds(random() % 30);
                list.postpone(p.id, p.waiter.ready_at, lane);
                break;
            }
            default:
                break;
        }
        const auto before = [](const Plain& a, const Plain& b) {
            return std::pair(a.waiter.priority, a.id) < std::pair(b.waiter.priority, b.id);
        };
        std::map<std::uint64_t, const Plain*> heads;
        for (const auto& p : plain) {
            auto& head = heads[p.waiter.lane];
            if (head == nullptr || before(p, *head)) head = &p;
        }
        const Plain* expected = nullptr;
        Nanos event = WaitList::kNever;
        for (const auto& [name, head] : heads) {
            event = std::min(event, head->waiter.ready_at);
            if (head->waiter.ready_at <= now && (expected == nullptr || before(*head, *expected)))
                expected = head;
        }
        for (const auto& p : plain) event = std::min(event, p.waiter.deadline);
        const auto next = list.next(now);
        REQUIRE(next.has_value() == (expected != nullptr));
        if (next) REQUIRE(*next == expected->id);
        REQUIRE(list.next_event() == event);
        REQUIRE(list.size() == plain.size());
        const auto expired = list.expired(now);
        REQUIRE(expired.has_value() == std::any_of(plain.begin(), plain.end(), [&](const Plain& p) {
                    return p.waiter.deadline <= now;
                }));
    }
}

TEST_CASE("one owner cannot take all places, and a newcomer always gets one") {
    WaitList list(20);
    const auto add = [&](std::uint64_t owner) { return list.add({1, 0, 0s, 10s, owner}); };
    std::vector<Id> evil;
    while (const auto id = add(7)) evil.push_back(*id);
    CHECK(evil.size() == 10);
    CHECK(list.waiting(7) == 10);
    std::size_t good = 0;
    while (add(8)) ++good;
    CHECK(good == 5);
    CHECK(add(9).has_value());
    CHECK_FALSE(add(7).has_value());
    for (const Id id : evil) list.remove(id);
    CHECK(list.waiting(7) == 0);
    CHECK(add(7).has_value());
}

TEST_CASE("the operator may take every place") {
    WaitList list(20);
    std::size_t count = 0;
    while (list.add({1, 0, 0s, 10s})) ++count;
    CHECK(count == 20);
    CHECK(list.waiting(0) == 0);
}
