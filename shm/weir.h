/* Weir's rate limits from C, and so from any language: the same counters, in the same shared memory,
 * as every other process of the host.
 *
 *     weir_segment_t* segment;
 *     weir_actor_t* me;
 *     weir_limiter_t limiter;
 *     weir_ticket_t ticket;
 *     weir_open("weir", NULL, &segment);
 *     weir_join(segment, "worker 1", &me);
 *     weir_limiter(segment, "key", "alice", WEIR_REQUESTS, 60000, 100, &limiter);
 *     const weir_charge_t charge = {limiter, 1};
 *     switch (weir_admit(me, &charge, 1, NULL, 0, &ticket, NULL)) { ... }
 *     weir_settle(me, ticket, 0, 1);
 *     weir_ticket_close(me, ticket);
 *
 * Every call returns a weir_status: 0 is success, above 0 a refusal (nothing was charged), below 0
 * an error. weir_strerror() says what a status means, and weir_last_error() what the last error of
 * this thread met in detail. No call ends the process, throws, or changes a signal handler.
 *
 * No call takes the time: all of them read the one clock that the host's processes share. A time
 * from elsewhere could carry a limiter far into the future, for everybody.
 *
 * Thread safety: a segment may be used by any thread, an actor by one thread at a time (one actor
 * per thread). Tickets belong to their actor. After fork() the child must open and join for itself:
 * what it inherited is refused. Process safety: all of it.
 *
 * ABI: libweir.so.0. Names are only ever added; structures that may grow carry their own size.
 */
#ifndef WEIR_H
#define WEIR_H

#include <stddef.h>
#include <stdint.h>

#if defined(WEIR_BUILD)
#define WEIR_API __attribute__((visibility("default")))
#else
#define WEIR_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* What a call returns. The values never change. */
typedef enum weir_status {
    WEIR_OK = 0,

    WEIR_OVER_LIMIT = 1, /* a window is full now; weir_retry_after() says when this would pass */
    WEIR_NEVER_FITS = 2, /* more units than the limit allows at all: waiting does not help */
    WEIR_IN_FLIGHT = 3,  /* a gauge is at its maximum; nobody can say for how long */
    WEIR_EVICTED = 4,    /* the handle's limiter or gauge was idle and its place reused: look it up again */
    WEIR_CORRUPT = 5,    /* the segment's words make no sense, or its file was truncated */

    WEIR_ERR_ARGUMENT = -1,     /* a null pointer, a handle that is none, a value out of range */
    WEIR_ERR_TICKET = -2,       /* no such ticket: closed already, or never admitted */
    WEIR_ERR_NOT_THERE = -3,    /* there is no such segment */
    WEIR_ERR_TOO_SHORT = -4,    /* the segment's file was truncated */
    WEIR_ERR_NOT_READY = -5,    /* another process is creating it, or holds its directory, too long */
    WEIR_ERR_LAYOUT = -6,       /* made by another version of Weir; the message says both */
    WEIR_ERR_BOOT = -7,         /* made before the host's last boot */
    WEIR_ERR_CLOCK = -8,        /* made in another time namespace */
    WEIR_ERR_NO_SPACE = -9,     /* /dev/shm is too small */
    WEIR_ERR_PERMISSION = -10,  /* not allowed, or there is no such group */
    WEIR_ERR_NAME = -11,        /* not a name for a segment */
    WEIR_ERR_FULL = -12,        /* no room for another limiter, gauge or actor */
    WEIR_ERR_MEMORY = -13,      /* this process is out of memory */
    WEIR_ERR_FORKED = -14,      /* opened by the parent process; the child must open its own */
    WEIR_ERR_SYSTEM = -15,      /* another error of the system; the message has it */
    WEIR_ERR_BOOT_UNKNOWN = -16, /* the boot id cannot be read, and the file may be of an earlier boot */
    WEIR_ERR_NOT_A_FILE = -17    /* a directory, a pipe, a device or a symbolic link bears the name */
} weir_status;

/* What a limiter counts; part of its identity. */
typedef enum weir_unit {
    WEIR_REQUESTS = 0,
    WEIR_TOKENS = 1,
    WEIR_INPUT_TOKENS = 2,
    WEIR_OUTPUT_TOKENS = 3
} weir_unit;

typedef struct weir_segment weir_segment_t; /* an open segment */
typedef struct weir_actor weir_actor_t;     /* one thread that decides; holds a place in the segment */

/* Handles are values: copy them freely. They hold no pointer. A zeroed one names nothing and is
 * refused; one whose limiter was evicted is refused as WEIR_EVICTED. */
typedef struct weir_limiter_handle {
    uint64_t word[2];
} weir_limiter_t;
typedef struct weir_gauge_handle {
    uint64_t word[2];
} weir_gauge_t;

/* An admitted request, until it is closed; never 0. Its number is not used again for a long time, so
 * a call with a closed one is WEIR_ERR_TICKET. */
typedef uint64_t weir_ticket_t;

/* How to open a segment. Zero it, set struct_bytes, then what differs from the default. */
typedef struct weir_options {
    size_t struct_bytes;    /* sizeof(weir_options_t) */
    uint64_t segment_bytes; /* 1 MiB .. 1 TiB, used if it has to be created; 0: 16 MiB */
    const char* group;      /* if set, mode 0660 and this group; NULL: mode 0600 */
    uint32_t wait_ms;       /* for another process that is creating it; 0: 2000 */
} weir_options_t;

/* One limiter to charge, and by how much; 0 units always pass. */
typedef struct weir_charge {
    weir_limiter_t limiter;
    uint64_t units;
} weir_charge_t;

/* What a limiter holds. */
typedef struct weir_usage {
    uint64_t limit;
    uint64_t used;         /* may exceed the limit after debts, or after the limit was lowered */
    uint64_t remaining;    /* max(0, limit - used) */
    uint64_t resets_in_ns; /* until all that is used now has left the window */
} weir_usage_t;

/* The version of the library, such as "0.1.0". */
WEIR_API const char* weir_version(void);

/* What a status means, in a few words. Never NULL. */
WEIR_API const char* weir_strerror(int status);

/* What the last call of this thread that returned an error (below 0) met, in a sentence; "" before
 * the first. Valid until this thread's next call. */
WEIR_API const char* weir_last_error(void);

/* Opens the segment of that name ([A-Za-z0-9._-]{1,200}), creating it if need be. `options` may be
 * NULL. */
WEIR_API int weir_open(const char* name, const weir_options_t* options, weir_segment_t** segment);

/* Closes it. The segment itself stays, with its counters. Actors that are still joined go on
 * working and must still leave. NULL is allowed. */
WEIR_API void weir_close(weir_segment_t* segment);

/* Removes the segment's name. Processes that have it open notice within a second, if they call
 * weir_reap, and go over to a new segment of that name with what they have used; their handles are
 * WEIR_EVICTED then. For tests, and after WEIR_ERR_LAYOUT or WEIR_ERR_BOOT. */
WEIR_API int weir_remove(const char* name);

/* Joins as one actor; `role` is what weir-inspect shows (up to 64 bytes). */
WEIR_API int weir_join(weir_segment_t* segment, const char* role, weir_actor_t** actor);

/* Leaves: its open tickets are abandoned (their charges stay until the window has passed, their
 * in-flight slots are free). NULL is allowed. */
WEIR_API void weir_leave(weir_actor_t* actor);

/* The limiter of that scope (1 .. 31 bytes, no ':'), name, unit (a weir_unit) and window (10 ms ..
 * 366 days); made if it is new; its limit set to `limit` (1 .. 2^39 - 1) either way, its counters
 * kept. If hosts share it (docs/design/cross-host.md), `limit` is what they may use together, and this
 * host's part of it stays as it is. */
WEIR_API int weir_limiter(weir_segment_t* segment, const char* scope, const char* name,
                          int unit, uint64_t window_ms, uint64_t limit, weir_limiter_t* limiter);

/* The in-flight gauge of that scope and name, made if it is new. `max` 0: it only counts. If hosts share
 * it, `max` is for all of them, as with weir_limiter. */
WEIR_API int weir_gauge(weir_segment_t* segment, const char* scope, const char* name, uint64_t max,
                        weir_gauge_t* gauge);

/* The most charges, and likewise holds, that one decision takes. */
WEIR_API size_t weir_scopes_max(void);

/* Admits a request under all its limits and gauges, or charges nothing. `charges` and `holds` may
 * be NULL if their number is 0. `ticket` is set to 0 unless WEIR_OK is returned, and must then be
 * closed. `refused_by`, which may be NULL, is set by a refusal: the index of the charge that
 * refused, or charges_count + the index of the hold. No system call and no lock; no allocation but
 * for the actor's largest number of tickets so far. */
WEIR_API int weir_admit(weir_actor_t* actor, const weir_charge_t* charges, size_t charges_count,
                        const weir_gauge_t* holds, size_t holds_count, weir_ticket_t* ticket,
                        size_t* refused_by);

/* How long until exactly this request would pass if nobody else took anything: 0 if it would now.
 * WEIR_NEVER_FITS or WEIR_IN_FLIGHT (and the like) when there is no such time. */
WEIR_API int weir_retry_after(weir_actor_t* actor, const weir_charge_t* charges,
                              size_t charges_count, const weir_gauge_t* holds, size_t holds_count,
                              uint64_t* nanoseconds);

/* Replaces what charge `index` of the ticket was admitted with by its true cost: less gives the
 * rest back into the window of the reservation, more is charged now, limit or not. WEIR_EVICTED or
 * WEIR_CORRUPT if more could not be charged; the ticket is still to be closed. */
WEIR_API int weir_settle(weir_actor_t* actor, weir_ticket_t ticket, size_t index, uint64_t actual);

/* Gives everything back and closes the ticket: for a request that was certainly never sent. */
WEIR_API int weir_cancel(weir_actor_t* actor, weir_ticket_t ticket);

/* Ends the ticket: its in-flight slots are free, what is charged stays. */
WEIR_API int weir_ticket_close(weir_actor_t* actor, weir_ticket_t ticket);

/* Charges a limiter whatever its limit says, e.g. what a provider reports that others have used.
 * WEIR_EVICTED or WEIR_CORRUPT if nothing could be charged. */
WEIR_API int weir_add(weir_actor_t* actor, weir_limiter_t limiter, uint64_t units);

/* Looks at a limiter without charging it. */
WEIR_API int weir_look(weir_segment_t* segment, weir_limiter_t limiter, weir_usage_t* usage);

/* How many of a gauge are in flight now; 0 also if it was evicted, for then it was idle. */
WEIR_API int weir_in_flight(weir_segment_t* segment, weir_gauge_t gauge, uint64_t* count);

/* Housekeeping: frees the in-flight slots of processes that have died, and sets `died`, which may be
 * NULL, to how many; notices that the segment's name was removed or leads elsewhere, and then goes over
 * to the one that counts; opens the segment's file again if the application has closed its descriptor.
 * Call it a few times per second in each process; more often does nothing. */
WEIR_API int weir_reap(weir_actor_t* actor, unsigned* died);

#ifdef __cplusplus
}
#endif

#endif
