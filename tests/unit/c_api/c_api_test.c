/* The C API as a C program uses it: every call, its successes, refusals and errors. */
#include "shm/weir.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>

/* POSIX, which strict C99 hides. */
extern pid_t fork(void);
extern pid_t getpid(void);
extern void _exit(int status);

static int failures = 0;

static void check(int held, const char* what, int line) {
    if (held) return;
    ++failures;
    fprintf(stderr, "line %d: %s (last error: %s)\n", line, what, weir_last_error());
}
#define CHECK(what) check((what), #what, __LINE__)

static char segment_name[64];
static weir_segment_t* segment;
static weir_actor_t* me;

static weir_limiter_t limiter(const char* name, uint64_t limit) {
    weir_limiter_t made;
    CHECK(weir_limiter(segment, "key", name, WEIR_REQUESTS, 60000, limit, &made) == WEIR_OK);
    return made;
}

static uint64_t used(weir_limiter_t of) {
    weir_usage_t usage;
    CHECK(weir_look(segment, of, &usage) == WEIR_OK);
    return usage.used;
}

static void opens_and_joins(void) {
    weir_options_t options;
    memset(&options, 0, sizeof options);
    options.struct_bytes = sizeof options;
    options.segment_bytes = 1u << 20;
    CHECK(weir_open(segment_name, &options, &segment) == WEIR_OK);
    CHECK(weir_join(segment, "c_api_test", &me) == WEIR_OK);
    CHECK(strlen(weir_version()) > 0);
    CHECK(weir_scopes_max() >= 8);
}

static void errors_of_opening(void) {
    weir_segment_t* other = NULL;
    weir_options_t options;
    memset(&options, 0, sizeof options);
    CHECK(weir_open("a/b", NULL, &other) == WEIR_ERR_NAME);
    CHECK(other == NULL);
    CHECK(strstr(weir_last_error(), "a/b") != NULL);
    CHECK(weir_open(segment_name, &options, &other) == WEIR_ERR_ARGUMENT);
    CHECK(strstr(weir_last_error(), "struct_bytes") != NULL);
    options.struct_bytes = sizeof options;
    options.segment_bytes = 5;
    CHECK(weir_open(segment_name, &options, &other) == WEIR_ERR_SYSTEM);
    CHECK(weir_open(NULL, NULL, &other) == WEIR_ERR_ARGUMENT);
    CHECK(weir_open(segment_name, NULL, NULL) == WEIR_ERR_ARGUMENT);
    CHECK(weir_remove("weir-test-there-is-none") == WEIR_ERR_NOT_THERE);
    weir_close(NULL);
    weir_leave(NULL);
}

static void every_status_has_words(void) {
    int status;
    for (status = WEIR_ERR_NOT_A_FILE; status <= WEIR_CORRUPT; ++status) {
        CHECK(strcmp(weir_strerror(status), "unknown status") != 0);
    }
    CHECK(strcmp(weir_strerror(12345), "unknown status") == 0);
}

static void admits_and_refuses(void) {
    const weir_charge_t charges[2] = {{limiter("a", 10), 4}, {limiter("b", 5), 3}};
    const weir_charge_t too_much = {charges[0].limiter, 11};
    weir_ticket_t ticket;
    weir_ticket_t none;
    size_t refused_by = 99;
    uint64_t wait = 0;
    CHECK(weir_retry_after(me, charges, 2, NULL, 0, &wait) == WEIR_OK);
    CHECK(wait == 0);
    CHECK(weir_admit(me, charges, 2, NULL, 0, &ticket, NULL) == WEIR_OK);
    CHECK(ticket != 0);
    CHECK(weir_admit(me, charges, 2, NULL, 0, &none, &refused_by) == WEIR_OVER_LIMIT);
    CHECK(none == 0);
    CHECK(refused_by == 1);
    CHECK(used(charges[0].limiter) == 4);
    CHECK(weir_retry_after(me, charges, 2, NULL, 0, &wait) == WEIR_OK);
    CHECK(wait > 59000000000u && wait < 62000000000u);
    CHECK(weir_admit(me, &too_much, 1, NULL, 0, &none, &refused_by) == WEIR_NEVER_FITS);
    CHECK(weir_retry_after(me, &too_much, 1, NULL, 0, &wait) == WEIR_NEVER_FITS);

    CHECK(weir_settle(me, ticket, 0, 1) == WEIR_OK);
    CHECK(weir_settle(me, ticket, 1, 7) == WEIR_OK);
    CHECK(weir_settle(me, ticket, 2, 1) == WEIR_ERR_ARGUMENT);
    CHECK(used(charges[0].limiter) == 1);
    CHECK(used(charges[1].limiter) == 7);
    CHECK(weir_ticket_close(me, ticket) == WEIR_OK);
    CHECK(weir_ticket_close(me, ticket) == WEIR_ERR_TICKET);
    CHECK(weir_settle(me, ticket, 0, 1) == WEIR_ERR_TICKET);
    CHECK(weir_cancel(me, 0) == WEIR_ERR_TICKET);
    CHECK(weir_cancel(me, ~(weir_ticket_t)0) == WEIR_ERR_TICKET);
    CHECK(used(charges[0].limiter) == 1);
}

static void gives_back_and_adds(void) {
    const weir_charge_t charge = {limiter("c", 10), 6};
    weir_ticket_t ticket;
    CHECK(weir_admit(me, &charge, 1, NULL, 0, &ticket, NULL) == WEIR_OK);
    CHECK(weir_cancel(me, ticket) == WEIR_OK);
    CHECK(used(charge.limiter) == 0);
    CHECK(weir_cancel(me, ticket) == WEIR_ERR_TICKET);
    CHECK(weir_add(me, charge.limiter, 25) == WEIR_OK);
    CHECK(used(charge.limiter) == 25);
    /* The same name again is the same limiter, with its counters. */
    CHECK(used(limiter("c", 100)) == 25);
}

static void holds_in_flight(void) {
    weir_gauge_t gauge;
    weir_ticket_t tickets[2];
    weir_ticket_t none;
    uint64_t count = 0;
    uint64_t wait = 0;
    size_t refused_by = 99;
    const weir_charge_t charge = {limiter("d", 10), 1};
    CHECK(weir_gauge(segment, "key", "g", 2, &gauge) == WEIR_OK);
    CHECK(weir_admit(me, &charge, 1, &gauge, 1, &tickets[0], NULL) == WEIR_OK);
    CHECK(weir_admit(me, NULL, 0, &gauge, 1, &tickets[1], NULL) == WEIR_OK);
    CHECK(weir_admit(me, &charge, 1, &gauge, 1, &none, &refused_by) == WEIR_IN_FLIGHT);
    CHECK(refused_by == 1);
    CHECK(weir_retry_after(me, &charge, 1, &gauge, 1, &wait) == WEIR_IN_FLIGHT);
    CHECK(weir_in_flight(segment, gauge, &count) == WEIR_OK);
    CHECK(count == 2);
    CHECK(weir_ticket_close(me, tickets[0]) == WEIR_OK);
    CHECK(weir_ticket_close(me, tickets[1]) == WEIR_OK);
    CHECK(weir_in_flight(segment, gauge, &count) == WEIR_OK);
    CHECK(count == 0);
    CHECK(used(charge.limiter) == 1);
}

static void keeps_many_tickets_apart(void) {
    enum { kTickets = 1000 };
    const weir_charge_t charge = {limiter("e", kTickets), 1};
    weir_ticket_t tickets[kTickets];
    weir_ticket_t none;
    int i;
    for (i = 0; i < kTickets; ++i) {
        CHECK(weir_admit(me, &charge, 1, NULL, 0, &tickets[i], NULL) == WEIR_OK);
    }
    CHECK(weir_admit(me, &charge, 1, NULL, 0, &none, NULL) == WEIR_OVER_LIMIT);
    for (i = 0; i < kTickets; i += 2) CHECK(weir_cancel(me, tickets[i]) == WEIR_OK);
    CHECK(used(charge.limiter) == kTickets / 2);
    for (i = 0; i < kTickets; ++i) {
        CHECK(weir_ticket_close(me, tickets[i]) == (i % 2 == 0 ? WEIR_ERR_TICKET : WEIR_OK));
    }
    CHECK(used(charge.limiter) == kTickets / 2);
}

static void bad_input_is_refused(void) {
    weir_limiter_t made;
    weir_gauge_t gauge;
    weir_ticket_t ticket;
    weir_usage_t usage;
    weir_charge_t many[100];
    weir_charge_t zero;
    memset(&zero, 0, sizeof zero);
    memset(many, 0x5a, sizeof many);
    CHECK(weir_limiter(segment, "a:b", "x", WEIR_REQUESTS, 60000, 1, &made) == WEIR_ERR_ARGUMENT);
    CHECK(strstr(weir_last_error(), "scope") != NULL);
    CHECK(weir_limiter(segment, "key", "x", 17, 60000, 1, &made) == WEIR_ERR_ARGUMENT);
    CHECK(weir_limiter(segment, "key", "x", WEIR_TOKENS, 1, 1, &made) == WEIR_ERR_ARGUMENT);
    CHECK(weir_limiter(segment, "key", "x", WEIR_TOKENS, UINT64_MAX, 1, &made) ==
          WEIR_ERR_ARGUMENT);
    CHECK(weir_limiter(segment, "key", "x", WEIR_TOKENS, 60000, 0, &made) == WEIR_ERR_ARGUMENT);
    CHECK(weir_limiter(segment, "key", NULL, WEIR_TOKENS, 60000, 1, &made) == WEIR_ERR_ARGUMENT);
    CHECK(weir_look(segment, made, &usage) == WEIR_ERR_ARGUMENT);
    CHECK(weir_admit(me, &zero, 1, NULL, 0, &ticket, NULL) == WEIR_ERR_ARGUMENT);
    CHECK(weir_admit(me, many, 1, NULL, 0, &ticket, NULL) == WEIR_ERR_ARGUMENT);
    CHECK(weir_admit(me, many, 100, NULL, 0, &ticket, NULL) == WEIR_ERR_ARGUMENT);
    CHECK(weir_admit(me, NULL, 1, NULL, 0, &ticket, NULL) == WEIR_ERR_ARGUMENT);
    CHECK(weir_admit(NULL, NULL, 0, NULL, 0, &ticket, NULL) == WEIR_ERR_ARGUMENT);
    memset(&gauge, 0xff, sizeof gauge);
    CHECK(weir_admit(me, NULL, 0, &gauge, 1, &ticket, NULL) == WEIR_ERR_ARGUMENT);
    /* A limiter's handle is no gauge. */
    made = limiter("a", 10);
    memcpy(&gauge, &made, sizeof gauge);
    CHECK(weir_admit(me, NULL, 0, &gauge, 1, &ticket, NULL) == WEIR_ERR_ARGUMENT);
    /* Nor does another life of the record pass for this one. */
    made.word[1] += 256;
    CHECK(weir_look(segment, made, &usage) == WEIR_EVICTED);
    CHECK(weir_add(me, made, 1) == WEIR_EVICTED);
}

static void a_full_segment_says_so(void) {
    enum { MOST = 10000 };
    static weir_ticket_t tickets[MOST];
    char name[32];
    weir_gauge_t gauge;
    weir_gauge_t idle;
    uint64_t ns;
    int status = WEIR_OK;
    int made = 0;
    CHECK(weir_gauge(segment, "key", "idle", 1, &idle) == WEIR_OK);
    while (made < MOST) {
        snprintf(name, sizeof name, "g%d", made);
        status = weir_gauge(segment, "key", name, 1, &gauge);
        if (status != WEIR_OK) break;
        CHECK(weir_admit(me, NULL, 0, &gauge, 1, &tickets[made++], NULL) == WEIR_OK);
    }
    CHECK(status == WEIR_ERR_FULL);
    CHECK(strstr(weir_last_error(), "segment_size") != NULL);
    /* What was idle had to make way. */
    CHECK(weir_admit(me, NULL, 0, &idle, 1, &tickets[made], NULL) == WEIR_EVICTED);
    CHECK(weir_retry_after(me, NULL, 0, &idle, 1, &ns) == WEIR_EVICTED);
    while (made > 0) CHECK(weir_ticket_close(me, tickets[--made]) == WEIR_OK);
    /* A full table is searched again 10 ms later. */
    for (made = 0; made < 100000000 && status == WEIR_ERR_FULL; ++made) {
        status = weir_gauge(segment, "key", name, 1, &gauge);
    }
    CHECK(status == WEIR_OK);
}

/* A limiter of 10 ms is idle soon, and then makes way for other names; its ticket is settled too late. */
static void what_comes_too_late_is_said(void) {
    enum { MOST = 1000000 };
    weir_charge_t charge;
    weir_charge_t other;
    weir_ticket_t ticket;
    weir_usage_t usage;
    char name[32];
    int made = 0;
    charge.units = 1;
    CHECK(weir_limiter(segment, "key", "brief", WEIR_REQUESTS, 10, 5, &charge.limiter) == WEIR_OK);
    CHECK(weir_admit(me, &charge, 1, NULL, 0, &ticket, NULL) == WEIR_OK);
    other.units = 1;
    while (made < MOST && weir_look(segment, charge.limiter, &usage) == WEIR_OK) {
        snprintf(name, sizeof name, "n%d", made++ % 5000);
        if (weir_limiter(segment, "key", name, WEIR_REQUESTS, 10, 5, &other.limiter) == WEIR_OK) {
            weir_add(me, other.limiter, 1);
        }
    }
    CHECK(weir_look(segment, charge.limiter, &usage) == WEIR_EVICTED);
    CHECK(weir_settle(me, ticket, 0, 3) == WEIR_EVICTED);
    CHECK(weir_settle(me, ticket, 0, 0) == WEIR_OK); /* what it held counts no more */
    CHECK(weir_ticket_close(me, ticket) == WEIR_OK);
}

static void a_forked_child_must_open_its_own(void) {
    const weir_charge_t charge = {limiter("f", 10), 1};
    weir_ticket_t ticket;
    int status = 0;
    pid_t child;
    CHECK(weir_admit(me, &charge, 1, NULL, 0, &ticket, NULL) == WEIR_OK);
    child = fork();
    if (child == 0) {
        const int refused = weir_admit(me, &charge, 1, NULL, 0, &ticket, NULL) == WEIR_ERR_FORKED;
        const int threw = weir_join(segment, "child", &me) == WEIR_ERR_FORKED;
        const int opened = weir_open(segment_name, NULL, &segment) == WEIR_OK &&
                           weir_join(segment, "child", &me) == WEIR_OK;
        _exit(refused && threw && opened && used(limiter("f", 10)) == 1 ? 0 : 1);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK(weir_settle(me, ticket, 0, 0) == WEIR_OK);
    CHECK(used(charge.limiter) == 0);
}

static void leaving_abandons_what_is_open(void) {
    weir_gauge_t gauge;
    weir_ticket_t ticket;
    uint64_t count = 99;
    const weir_charge_t charge = {limiter("h", 10), 3};
    CHECK(weir_gauge(segment, "key", "g", 2, &gauge) == WEIR_OK);
    CHECK(weir_admit(me, &charge, 1, &gauge, 1, &ticket, NULL) == WEIR_OK);
    weir_leave(me);
    CHECK(weir_in_flight(segment, gauge, &count) == WEIR_OK);
    CHECK(count == 0);
    CHECK(used(charge.limiter) == 3);
}

int main(void) {
    snprintf(segment_name, sizeof segment_name, "weir-test-c-%ld", (long)getpid());
    opens_and_joins();
    if (me != NULL) {
        errors_of_opening();
        every_status_has_words();
        admits_and_refuses();
        gives_back_and_adds();
        holds_in_flight();
        keeps_many_tickets_apart();
        bad_input_is_refused();
        a_forked_child_must_open_its_own();
        what_comes_too_late_is_said();
        a_full_segment_says_so();
        leaving_abandons_what_is_open();
    }
    weir_close(segment);
    CHECK(weir_remove(segment_name) == WEIR_OK);
    if (failures == 0) puts("all held");
    return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
