# SPDX-License-Identifier: ISC
"""
Every failing call: the n-th call of a kind in one role fails once, for every n of a run that submits,
stores, delivers and bounces. What was promised arrives all the same, nobody hangs, no role
dies but of missing memory, and clients are told 4xx at worst.
"""

import errno
import mmap
import os
import random
import signal
import struct
import time

from client import Client, Refused, kill_all, letter, subject_of
from house import BUILD, Skip, until
from world import World, mx_zone

CALLS = ["none", "write", "pwritev", "fdatasync", "fsync", "fallocate", "openat", "renameat", "unlinkat", "malloc", "fork", "thread",
         "sendmsg", "recvmsg", "socket"]
NUMBERS = ["armed", "call", "nth", "error", "fired", "lie", "trace"]
ROLE = 4 * len(NUMBERS)
COUNTS = ROLE + 16

ERRORS = {"write": [errno.EIO], "pwritev": [errno.ENOSPC, errno.EIO], "fdatasync": [errno.EIO], "fsync": [errno.EIO],
          "fallocate": [errno.ENOSPC, errno.EIO], "openat": [errno.EMFILE, errno.ENOSPC], "renameat": [errno.EIO], "unlinkat": [errno.EIO],
          "malloc": [errno.ENOMEM], "fork": [errno.EAGAIN], "thread": [errno.EAGAIN], "sendmsg": [errno.ENOBUFS, errno.ETOOMANYREFS],
          "recvmsg": [errno.ENOMEM], "socket": [errno.EMFILE]}
# Where there is nothing to be done without what was asked for, the role ends and is started anew.
MAY_DIE = {"malloc", "thread"}
ROLES = ("supervisor", "smtpd", "queue", "delivery", "keyd", "auth")
ZONES = {"a.example": mx_zone([(10, "mx1", "127.0.0.2")]), "c.example": mx_zone([(10, "mx1", "127.0.0.2")])}
HANG_S = 12


class State:
    """struct state of fail.c, in a file."""

    def __init__(self, path):
        with open(path, "wb") as f:
            f.write(bytes(4096))
        self.file = open(path, "r+b")
        self.map = mmap.mmap(self.file.fileno(), 4096)

    def set(self, name, value):
        struct.pack_into("=I", self.map, 4 * NUMBERS.index(name), value)

    def get(self, name):
        return struct.unpack_from("=I", self.map, 4 * NUMBERS.index(name))[0]

    def arm(self, role, call, nth, error):
        self.set("armed", 0)
        self.map[ROLE:ROLE + 16] = role.encode().ljust(16, b"\0")
        self.map[COUNTS:COUNTS + 4 * len(CALLS)] = bytes(4 * len(CALLS))
        for name, value in (("call", CALLS.index(call)), ("nth", nth), ("error", error), ("fired", 0), ("armed", 1)):
            self.set(name, value)

    def disarm(self):
        self.set("armed", 0)
        return self.get("fired")

    def count(self, call):
        return struct.unpack_from("=I", self.map, COUNTS + 4 * CALLS.index(call))[0]


class Failing:
    """A daemon whose calls can be made to fail, and the run it is put through."""

    def __init__(self):
        if not os.path.exists(f"{BUILD}/tests/crash/fail.so"):
            raise Skip("not with sanitizers")
        self.arrived, self.bounced, self.failures, self.number, self.fired, self.faults = set(), "", [], 0, 0, 0
        self.rng = random.Random(1)
        self.world = World(zones=ZONES, config="retry 1s 1s 1s\n", start=False, receivers={
            "127.0.0.2": {"rcpt": lambda a, s: "550 5.1.1 nobody" if a.endswith("@c.example") else None, "data": self.on_mail},
            "127.0.0.9": {"data": self.on_bounce}})
        p = self.world.postern
        self.state = State(f"{p.dir}/fault")
        p.env.update(LD_PRELOAD=f"{BUILD}/tests/crash/fail.so", FAULT_STATE=f"{p.dir}/fault")
        p.start()
        self.seen = 0

    def on_mail(self, message):
        self.arrived.add(subject_of(message.data))

    def on_bounce(self, message):
        self.bounced += message.data.decode("utf-8", "replace")

    def submit(self, rcpt, size):
        """Try until it is promised; what else was said on the way must be temporary."""
        end = time.monotonic() + HANG_S
        while time.monotonic() < end:
            self.number += 1
            subject, client = f"s{self.number}", None
            try:
                client = Client(self.world.postern.port, timeout=HANG_S)
                client.send([rcpt], letter(subject, rcpt, size, self.rng))
                return subject
            except Refused as e:
                if not e.line.startswith("4"):
                    self.failures.append(f"{self.what}: the client is told {e.line}")
                time.sleep(0.05)
            except TimeoutError:
                self.failures.append(f"{self.what}: the client hears nothing")
            except OSError:
                time.sleep(0.05)
            finally:
                if client:
                    client.close()
        self.failures.append(f"{self.what}: nothing is accepted within {HANG_S} s")
        return None

    def round(self):
        """Mail that arrives, mail that is too large for memory, mail that bounces."""
        mails = [self.submit("x@a.example", 2000), self.submit("x@c.example", 1500), self.submit("x@a.example", 300000)]
        try:
            until(lambda: {mails[0], mails[2]} - {None} <= self.arrived, HANG_S, "what was promised arrives")
            until(lambda: mails[1] is None or f"Subject: {mails[1]}\r\n" in self.bounced, HANG_S, "what was refused bounces")
        except AssertionError as e:
            self.failures.append(f"{self.what}: {str(e)[:200]}")

    def died(self):
        events = self.world.postern.events("role-died")
        self.looked = self.seen
        fresh, self.seen = events[self.seen:], len(events)
        return [e["who"] for e in fresh if e["who"] not in self.killed]

    def by_signal(self):
        """
        Deaths that are neither a role's own end for want of memory nor an abort(). OpenSSL 3.0 touches what
        is not there if memory is missing at the first use of a digest in a process: counted and told, no failure.
        """
        return sum("signal" in e["why"] and "signal 6" not in e["why"] and e["who"] not in self.killed
                   for e in self.world.postern.events("role-died")[self.looked:])

    def counts(self, role):
        """How often a run calls each kind in one role."""
        self.what = f"counting {role}"
        self.state.arm(role, "none", 0, 0)
        self.prepare(role, "none")
        self.round()
        self.state.disarm()
        return {call: self.state.count(call) for call in CALLS[1:]}

    def prepare(self, role, call):
        """What happens only when a role begins."""
        victim = {"fork": "auth", "thread": "queue", "fallocate": "queue"}.get(call)
        self.killed = {victim}
        if victim:
            before = len(self.world.postern.events("role-died"))
            for pid in self.world.postern.role_pids(victim):
                os.kill(pid, signal.SIGKILL)
            until(lambda: len(self.world.postern.events("role-died")) > before, 10, "the death is seen")

    def try_one(self, role, call, nth, error):
        self.what = f"{role}: {call} number {nth} fails with {errno.errorcode[error]}"
        self.state.arm(role, call, nth, error)
        self.prepare(role, call)
        self.round()
        self.fired += self.state.disarm()
        dead = self.died()
        self.faults += self.by_signal()
        if dead and call not in MAY_DIE:
            self.failures.append(f"{self.what}: {dead} died\n{self.world.postern.log()[-1500:]}")
        if self.world.postern.process.poll() is not None:
            self.failures.append(f"{self.what}: the daemon has ended")
            self.world.postern.process = None
            self.world.postern.start()
            return
        if dead:  # one that dies again and again is started later each time, and its clients wait: a new daemon has no such memory
            kill_all(self.world.postern)
            self.world.postern.start()

    def close(self):
        self.world.close()


def cases(f, roles=ROLES):
    """(role, call, nth, error) for all calls that a run makes."""
    for role in roles:
        counts = f.counts(role)
        counts.update({"supervisor": {"fork": 1}, "queue": {"thread": 1, "fallocate": 2}}.get(role, {}))
        for call in CALLS[1:]:
            for error in ERRORS[call]:
                for nth in range(1, counts[call] + 1):
                    yield role, call, nth, error


def soak(share, seed, say):
    f, rng = Failing(), random.Random(seed)
    try:
        todo = list(cases(f))
        if share < 100:
            todo = rng.sample(todo, max(20, len(todo) * share // 100))
        say(f"failing: {len(todo)} calls to fail")
        for number, case in enumerate(todo, 1):
            before = len(f.failures)
            f.try_one(*case)
            for failure in f.failures[before:]:
                say("failing:", failure)
            if number % 200 == 0:
                say(f"failing: {number} of {len(todo)}, {f.fired} failed as asked, {len(f.failures)} failures")
        say(f"failing: {len(todo)} tried, {f.fired} failed as asked, {f.faults} roles ended by a signal, {len(f.failures)} failures")
        return len(f.failures)
    finally:
        f.close()
