#include "router/redis/coordination.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <cstdio>

#include "router/random.hpp"
#include "router/redis/lease_script.hpp"

namespace weir::router {
namespace {

/// How often a process looks whether the coordinator's place has become free, or its holder does nothing.
constexpr shm::Nanos kElectEvery = std::chrono::milliseconds(200);

/// Who waits for a lease looks this often whether there is one, unless the coordinator is in the same
/// process.
constexpr std::chrono::milliseconds kLookEvery{1};

/// Who leaves looks this often whether it is the last.
constexpr std::chrono::milliseconds kLookAlone{10};

/// The coordinator's number at the doorbell. Where that does not ring, it finds out by itself a little later.
constexpr std::uint32_t kCoordinatorsBell = 0;

std::uint64_t random_number(std::uint64_t below) {
    return random_seed() % below;
}

}  // namespace

/// One request, or many, that wait for more.
struct Coordination::Waiting {
    Timer timer;
    std::uint64_t seen;  // raises that it has known of when it found too little
};

/// The coordinator's work: a LeaseHost, and what it needs of the world.
class Coordination::Coordinator {
 public:
    Coordinator(Coordination& owner, const LeaseRules& rules)
        : owner_(owner),
          prefix_(fmt::format("{{{}}}:", owner.redis_.prefix)),
          settings_(owner.redis_),
          pulse_(owner.io_),
          client_(owner.io_, pulse_, settings_),
          timer_(owner.io_),
          leases_(owner.board_),
          host_(rules, leases_, contact_for(rules, owner.board_.contact()), shm::now()) {
        leases_.serve(host_);
        pulse_.start();
    }

    /// Until this is the coordinator no more. `self` keeps it alive meanwhile.
    static Task<void> run(std::shared_ptr<Coordinator> self, std::shared_ptr<Coordination*> owner) {
        const auto works = [&] { return *owner && (*owner)->coordinator_ == self; };
        while (works()) {
            const shm::Nanos now = shm::now();
            self->leases_.look_for_limits(self->host_);
            if (self->leaves_ != nullptr && !std::exchange(self->given_up_, true)) self->host_.give_up(now);
            auto beat = self->host_.poll(now, 1 + random_number(9'000'000'000'000));
            self->publish();
            if (beat && self->given_up_) ask_for_nothing(*beat);
            if (!beat) {
                self->timer_.expires_at(Timer::time_point(self->host_.next_poll(now)));
                co_await self->timer_.async_wait(kAwait);
                continue;
            }
            const RedisReply reply = co_await self->client_.call_script(lease_script_sha1(), lease_script(),
                                                                        to_words(*beat, self->prefix_),
                                                                        now + self->settings_.timeout);
            if (!works()) break;
            self->take(reply, beat->reports.size());
            if (self->given_up_ && !beat->more) self->leaves_->cancel();
        }
        self->pulse_.stop();
    }

    /// A request has found too little, or there is something else to see to.
    void wake() {
        host_.somebody_waits();
        timer_.cancel();
    }

    /// Gives everything back but what is used, and cancels `done` when the store has been told.
    void give_up(Timer& done) {
        leaves_ = &done;
        wake();
    }

 private:
    /// A predecessor may have had another fail mode.
    static shm::LeaseContact contact_for(const LeaseRules& rules, shm::LeaseContact contact) {
        if (contact.mode > shm::LeaseMode::shared) contact.mode = mode_without_contact(rules.fail_mode);
        return contact;
    }

    static void ask_for_nothing(Beat& beat) {
        for (LeaseReport& report : beat.reports) report.demand = report.need = report.ask = 0;
    }

    void publish() {
        const shm::LeaseMode before = owner_.board_.mode();
        publish_contact(owner_.board_, host_.contact());
        if (leases_.take_raised()) owner_.tell_raised();
        const shm::LeaseMode mode = host_.contact().mode;
        if (mode == said_ && mode == before) return;
        if (mode != said_) {
            owner_.say(fmt::format("limits are now kept by mode {}{}", to_string(mode),
                                   failure_.empty() ? std::string() : ": " + failure_));
        }
        said_ = mode;
    }

    void take(const RedisReply& reply, std::size_t reports) {
        const shm::Nanos now = shm::now();
        std::string failure = reply.failure;
        if (failure.empty()) {
            const auto answer = read_answer(reply.value, reports);
            if (!answer) failure = "the answer is none to our script";
            if (answer && !host_.answered(*answer, now)) failure = "the answer came too late";
        }
        if (!failure.empty()) host_.failed(now);
        // Once for each kind of trouble, not once for each attempt.
        if (!failure.empty() && failure != failure_) owner_.say(failure);
        failure_ = std::move(failure);
        if (failure_.empty() && host_.hosts() > owner_.expected_hosts_ && !said_hosts_) {
            said_hosts_ = true;
            owner_.say(
                fmt::format("there are {} hosts; expected_hosts is {}, by which limits would be divided "
                            "without contact",
                            host_.hosts(), owner_.expected_hosts_));
        }
        publish();
    }

    Coordination& owner_;
    std::string prefix_;
    // It may outlive the coordination by an exchange that is under way, and needs nothing of it for that.
    RedisSettings settings_;
    Pulse pulse_;
    RedisClient client_;
    Timer timer_;
    SegmentLeases leases_;
    LeaseHost host_;
    shm::LeaseMode said_ = shm::LeaseMode::local;
    bool said_hosts_ = false;
    std::string failure_;
    Timer* leaves_ = nullptr;  // of who is to be told when everything has been given back
    bool given_up_ = false;
};

Coordination::Coordination(asio::io_context& io, Pulse& pulse, const shm::Segment& segment,
                           const WeirSettings& settings)
    : io_(io),
      segment_(segment),
      segment_name_(segment.name()),
      redis_(settings.redis),
      fail_mode_(settings.fail_mode),
      expected_hosts_(settings.expected_hosts),
      board_(segment),
      watch_(board_, {settings.fail_mode, settings.expected_hosts, settings.redis.lease}),
      grants_timer_(io),
      self_(std::make_shared<Coordination*>(this)) {
    pulse.on_beat([self = self_](shm::Nanos now) {
        if (*self) (*self)->beat(now);
    });
}

Coordination::~Coordination() {
    *self_ = nullptr;
    stop();
}

void Coordination::start() {
    place_ = std::make_unique<shm::LeaseBoard>(segment_);
    bell_ = std::make_unique<Doorbell>(io_, segment_name_, [this] { wake(); });
    beat(shm::now());
}

/// An exchange may be under way; the answer finds nobody whom it concerns. To the next coordinator it is one
/// of a predecessor that has died.
void Coordination::stop() noexcept {
    wake();
    coordinator_.reset();
    bell_.reset();
    place_.reset();
    grants_timer_.cancel();
}

void Coordination::hand_over(std::shared_ptr<Coordination> next) {
    stop();
    next_ = std::move(next);
    next_->elect(shm::now());
    tell_raised();  // who waits here goes on there
}

/// At once, and not when it is time for it.
void Coordination::elect(shm::Nanos now) {
    next_election_ = {};
    beat(now);
}

/// Who ends together with others is not the last at first. Of many, the coordinator alone waits for that.
Task<void> Coordination::leave(shm::Nanos deadline) {
    elect(shm::now());
    Timer timer(io_);
    while (leads() && !alone() && shm::now() < deadline) {
        timer.expires_after(kLookAlone);
        co_await timer.async_wait(kAwait);
    }
    if (leads() && alone() && mode() == shm::LeaseMode::shared) {
        timer.expires_at(Timer::time_point(deadline));
        coordinator_->give_up(timer);
        co_await timer.async_wait(kAwait);
    }
    stop();
}

/// Whether nobody has joined but whom this is for.
bool Coordination::alone() const {
    const auto all = segment_.participants();
    return std::count_if(all.begin(), all.end(), [](const auto& one) { return one.alive; }) <= 1;
}

void Coordination::beat(shm::Nanos now) {
    if (!place_) return;
    check(now);
    if (now < next_election_) return;
    next_election_ = now + kElectEvery;
    if (!leads() && place_->lead()) lead();
    if (watch_.look(now)) tell_raised();
}

/// This process is the coordinator now.
void Coordination::lead() {
    LeaseRules rules;
    rules.host = board_.host(1 + random_number(9'000'000'000'000));
    rules.fail_mode = fail_mode_;
    rules.hosts_expected = expected_hosts_;
    rules.timing.lease = redis_.lease;
    rules.timing.margin = std::max(redis_.lease / 30, shm::Nanos(std::chrono::milliseconds(200)));
    rules.timing.patience = redis_.wait;
    coordinator_ = std::make_shared<Coordinator>(*this, rules);
    asio::co_spawn(io_, Coordinator::run(coordinator_, self_), [self = self_](std::exception_ptr failure) {
        // Out of memory, say: the lease runs out, and the limits are kept by the fail mode.
        if (failure && *self) (*self)->say("the coordination has failed and rests");
    });
    if (!bell_->hang(kCoordinatorsBell)) {
        say("cannot be woken; requests may wait a little longer for a lease");
    }
    bell_->listen();
}

void Coordination::wake() {
    if (coordinator_) coordinator_->wake();
}

/// Leases have been raised, or whoever waits is to look again for another reason.
void Coordination::tell_raised() {
    board_.count_grant();
    look_at_grants();
}

Task<bool> Coordination::wait_for_more(std::uint64_t seen, shm::Nanos deadline) {
    if (next_) co_return co_await latest().wait_for_more(seen, deadline);
    Waiting waiting{Timer(io_), seen};
    waiting.timer.expires_at(Timer::time_point(deadline));
    waiting_.push_back(&waiting);
    ring();
    watch_grants();
    if (grants() == seen) co_await waiting.timer.async_wait(kAwait);
    std::erase(waiting_, &waiting);
    // Also what was raised in the last moment before the deadline, and has not been looked at yet.
    co_return grants() != seen;
}

void Coordination::ring() {
    if (leads()) {
        wake();
    } else if (bell_) {
        bell_->ring(kCoordinatorsBell);
    }
}

/// Looks at intervals whether another process, the coordinator, has raised leases; while anybody waits here.
void Coordination::watch_grants() {
    if (watching_ || leads()) return;
    watching_ = true;
    grants_timer_.expires_after(kLookEvery);
    grants_timer_.async_wait([self = self_](ErrorCode error) {
        Coordination* own = *self;
        if (!own) return;
        own->watching_ = false;
        if (error) return;
        own->look_at_grants();
        if (!own->waiting_.empty()) own->watch_grants();
    });
}

void Coordination::look_at_grants() {
    const std::uint64_t grants = this->grants();
    for (Waiting* waiting : waiting_) {
        if (waiting->seen != grants) waiting->timer.cancel();
    }
}

void Coordination::say(const std::string& what) const {
    fmt::print(stderr, "weir: redis: segment '{}': {}\n", segment_name_, what);
}

}  // namespace weir::router
