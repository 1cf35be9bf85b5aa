"""Python processes, by ctypes, and C++ processes share one limit: together they get all of it, and
not one unit more. And what a killed Python process held in flight is free again.

    share_limit.py LIBRARY PEER                      the test
    share_limit.py LIBRARY PEER take SEGMENT N M     a Python process that takes its part
    share_limit.py LIBRARY PEER hold SEGMENT         one that takes a slot and is killed with it
"""
import ctypes as c
import os
import signal
import subprocess
import sys
import time

LIMIT = 50_000
PROCESSES = 4


class Limiter(c.Structure):
    _fields_ = [("word", c.c_uint64 * 2)]


class Charge(c.Structure):
    _fields_ = [("limiter", Limiter), ("units", c.c_uint64)]


class Usage(c.Structure):
    _fields_ = [(name, c.c_uint64) for name in ("limit", "used", "remaining", "resets_in_ns")]


class Weir:
    """One open segment, joined."""

    def __init__(self, library, segment):
        self.lib = lib = c.CDLL(library)
        lib.weir_last_error.restype = lib.weir_strerror.restype = c.c_char_p
        lib.weir_close.argtypes = lib.weir_leave.argtypes = [c.c_void_p]
        lib.weir_join.argtypes = [c.c_void_p, c.c_char_p, c.c_void_p]
        lib.weir_limiter.argtypes = [c.c_void_p, c.c_char_p, c.c_char_p, c.c_int, c.c_uint64,
                                     c.c_uint64, c.c_void_p]
        lib.weir_gauge.argtypes = [c.c_void_p, c.c_char_p, c.c_char_p, c.c_uint64, c.c_void_p]
        lib.weir_admit.argtypes = [c.c_void_p, c.c_void_p, c.c_size_t, c.c_void_p, c.c_size_t,
                                   c.c_void_p, c.c_void_p]
        lib.weir_settle.argtypes = [c.c_void_p, c.c_uint64, c.c_size_t, c.c_uint64]
        lib.weir_ticket_close.argtypes = [c.c_void_p, c.c_uint64]
        lib.weir_look.argtypes = [c.c_void_p, Limiter, c.c_void_p]
        lib.weir_in_flight.argtypes = [c.c_void_p, Limiter, c.c_void_p]
        lib.weir_reap.argtypes = [c.c_void_p, c.c_void_p]
        self.segment, self.me = c.c_void_p(), c.c_void_p()
        self.call("weir_open", segment.encode(), None, c.byref(self.segment))
        self.call("weir_join", self.segment, b"peer in Python", c.byref(self.me))

    def call(self, name, *arguments):
        """Calls; a refusal is returned, an error raised."""
        status = getattr(self.lib, name)(*arguments)
        if status < 0:
            raise RuntimeError(f"{name}: {self.lib.weir_last_error().decode()}")
        return status

    def limiter(self, scope, name, window_ms, limit):
        made = Limiter()
        self.call("weir_limiter", self.segment, scope, name, 0, window_ms, limit, c.byref(made))
        return made

    def gauge(self, scope, name, most):
        made = Limiter()  # a gauge's handle has the same shape
        self.call("weir_gauge", self.segment, scope, name, most, c.byref(made))
        return made

    def admit(self, charge=None, hold=None):
        ticket = c.c_uint64()
        self.call("weir_admit", self.me, c.byref(charge) if charge else None, 1 if charge else 0,
                  c.byref(hold) if hold else None, 1 if hold else 0, c.byref(ticket), None)
        return ticket.value

    def settle(self, ticket, actual):
        self.call("weir_settle", self.me, ticket, 0, actual)
        self.call("weir_ticket_close", self.me, ticket)

    def used(self, limiter):
        usage = Usage()
        self.call("weir_look", self.segment, limiter, c.byref(usage))
        return usage.used

    def in_flight(self, gauge):
        count = c.c_uint64()
        self.call("weir_in_flight", self.segment, gauge, c.byref(count))
        return count.value

    def reap(self):
        died = c.c_uint()
        self.call("weir_reap", self.me, c.byref(died))
        return died.value

    def close(self):
        self.lib.weir_leave(self.me)
        self.lib.weir_close(self.segment)


def wait_for(condition, seconds, what):
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise SystemExit(f"waited {seconds} s in vain: {what}")
        time.sleep(0.001)


def take(library, segment, limit, processes):
    weir = Weir(library, segment)
    charge = Charge(weir.limiter(b"key", b"shared", 86_400_000, limit), 1)
    here = weir.gauge(b"test", b"here", 0)
    weir.admit(hold=here)
    wait_for(lambda: weir.in_flight(here) >= processes, 20, "for the other processes")
    taken = 0
    while ticket := weir.admit(charge):
        weir.settle(ticket, 1)
        taken += 1
    print(taken, flush=True)
    wait_for(lambda: weir.used(charge.limiter) >= limit, 20, "for the rest of the limit")
    time.sleep(0.3)
    weir.close()


def hold(library, segment):
    weir = Weir(library, segment)
    weir.admit(hold=weir.gauge(b"test", b"held", 1))
    print("holding", flush=True)
    signal.pause()


def share_exactly(library, peer, segment):
    me = [sys.executable, os.path.abspath(__file__), library, peer, "take", segment]
    numbers = [str(LIMIT), str(PROCESSES)]
    commands = [me + numbers, me + numbers, [peer, segment] + numbers, [peer, segment] + numbers]
    running = [subprocess.Popen(x, stdout=subprocess.PIPE, text=True) for x in commands]
    try:
        taken = [int(process.communicate(timeout=50)[0]) for process in running]
    finally:
        for process in running:
            process.kill()
    print("taken by Python", taken[:2], "and C++", taken[2:], "of", LIMIT)
    assert sum(taken) == LIMIT, f"{sum(taken)} of {LIMIT}"
    assert all(taken), "one process got nothing: they did not run at the same time"


def free_what_the_dead_held(library, peer, segment):
    holder = subprocess.Popen([sys.executable, os.path.abspath(__file__), library, peer, "hold",
                               segment], stdout=subprocess.PIPE, text=True)
    weir = Weir(library, segment)
    try:
        assert holder.stdout.readline() == "holding\n"
        held = weir.gauge(b"test", b"held", 1)
        assert weir.in_flight(held) == 1
        assert weir.admit(hold=held) == 0
    finally:
        holder.kill()
        holder.wait()
    killed = time.monotonic()
    wait_for(lambda: weir.reap() and weir.in_flight(held) == 0, 1, "for the slot of the dead")
    assert weir.admit(hold=held) != 0
    print(f"in flight again {time.monotonic() - killed:.3f} s after the kill")
    weir.close()


def main():
    library, peer = sys.argv[1:3]
    role = sys.argv[3:]
    if role[:1] == ["take"]:
        return take(library, role[1], int(role[2]), int(role[3]))
    if role[:1] == ["hold"]:
        return hold(library, role[1])
    segment = f"weir-test-python-{os.getpid()}"
    try:
        share_exactly(library, peer, segment)
        free_what_the_dead_held(library, peer, segment)
    finally:
        c.CDLL(library).weir_remove(segment.encode())


main()
