# SPDX-License-Identifier: ISC
"""
Every failing call: the n-th call of a kind in one role fails once, for every n of a run that submits,
stores, delivers and bounces, and for every n of a start on a queue that holds mail. What was
promised arrives or stays all the same, nobody hangs, no role dies but of missing memory (at a start
one may give up and say why), and clients are told 4xx at worst.
"""

import errno
import mmap
import os
import random
import re
import signal
import struct
import time

from client import Client, Refused, letter, subject_of
from house import BUILD, Skip, until
from world import LOGINS, World, mx_zone

CALLS = ["none", "write", "pwritev", "fdatasync", "fsync", "fallocate", "open", "rename", "unlink", "malloc", "fork", "thread", "sendmsg",
         "recvmsg", "socket", "socketpair", "connect", "accept", "send", "recv", "epoll_ctl", "mmap", "read", "pread", "hint"]
NUMBERS = ["armed", "call", "nth", "error", "fired", "lie", "early", "trace", "resynced"]
ROLE = 4 * len(NUMBERS)
COUNTS = ROLE + 16

ERRORS = {"write": [errno.EIO], "pwritev": [errno.ENOSPC, errno.EIO], "fdatasync": [errno.EIO], "fsync": [errno.EIO],
          "fallocate": [errno.ENOSPC, errno.EIO], "open": [errno.EMFILE, errno.EIO], "rename": [errno.EIO], "unlink": [errno.EIO],
          "malloc": [errno.ENOMEM], "fork": [errno.EAGAIN], "thread": [errno.EAGAIN], "sendmsg": [errno.ENOBUFS, errno.ETOOMANYREFS],
          "recvmsg": [errno.ENOMEM], "socket": [errno.EMFILE], "socketpair": [errno.EMFILE], "connect": [errno.EADDRNOTAVAIL],
          "accept": [errno.EMFILE, errno.ECONNABORTED], "send": [errno.ENOBUFS], "recv": [errno.ENOMEM], "epoll_ctl": [errno.ENOMEM],
          "mmap": [errno.ENOMEM], "read": [errno.EIO], "pread": [errno.EIO], "hint": [errno.ENOSPC, errno.EIO]}
# Where there is nothing to be done without what was asked for, the role ends and is started anew.
MAY_DIE = {"malloc", "thread", "epoll_ctl"}
TEMPORARY = re.compile(r"(421|451|452) 4\.3\.[0-9] ")
ROLES = ("supervisor", "smtpd", "queue", "delivery", "keyd", "auth")
# Nobody listens for b: its mail is what a start finds.
ZONES = {"a.example": mx_zone([(10, "mx1", "127.0.0.2")]), "b.example": mx_zone([(10, "mx1", "127.0.0.3")]),
         "c.example": mx_zone([(10, "mx1", "127.0.0.2")])}
HANG_S = 100  # a spool that cannot be written to is tried again after 30


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
        for name, value in (("call", CALLS.index(call)), ("nth", nth), ("error", error), ("fired", 0), ("resynced", 0), ("armed", 1)):
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
        self.arrived, self.bounced, self.failures, self.number, self.tried, self.fired, self.faults = set(), "", [], 0, 0, 0, 0
        self.rng = random.Random(1)
        self.world = World(zones=ZONES, config="retry 1s 1s 1s\n" + LOGINS, start=False, receivers={
            "127.0.0.2": {"rcpt": lambda a, s: "550 5.1.1 nobody" if a.endswith("@c.example") else None, "data": self.on_mail},
            "127.0.0.9": {"data": self.on_bounce}})
        p = self.world.postern
        self.state = State(f"{p.dir}/fault")
        p.env.update(LD_PRELOAD=f"{BUILD}/tests/crash/fail.so", FAULT_STATE=f"{p.dir}/fault")
        self.kept, self.refusals, self.killed, self.call, self.ended = [], {}, None, "none", 0
        self.fill()

    def fill(self):
        """Mail that waits in several segments with their hints, on a daemon that runs."""
        p = self.world.postern
        for number in range(3):
            p.start()
            p.run("pause", "b.example", check=0)
            for size in (2000, 300000):
                client = Client(p.port)
                self.kept.append(client.send(["x@b.example"], letter(f"kept{number}", "x@b.example", size, self.rng)))
                client.close()
            if number < 2:
                p.stop()
        self.what = "warming up"
        for _ in range(3):  # what happens once in a process is the start's
            self.round()

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
                self.refusals[e.line] = self.refusals.get(e.line, 0) + 1
                if not TEMPORARY.match(e.line + " "):
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
            until(lambda: {mails[0], mails[2]} - {None} <= self.arrived, "what was promised arrives")
            until(lambda: mails[1] is None or f"Subject: {mails[1]}\r\n" in self.bounced, "what was refused bounces")
        except AssertionError as e:
            self.failures.append(f"{self.what}: {str(e)[:200]}")

    def deaths(self):
        """[(who, why)] of this case's role deaths that the test did not ask for."""
        return [(e["who"], e["why"]) for e in self.world.postern.events("role-died") if e["who"] != self.killed]

    def forget(self):
        """The log of one case is looked at many times: it is kept short."""
        os.truncate(self.world.postern.log_path, 0)
        self.killed, self.bounced = None, ""

    def counts(self, role, start):
        """How often a run, or a start and a run, calls each kind in one role."""
        self.what = f"counting {role}"
        self.forget()
        self.set_out(role, "none", 0, 0, start)
        self.round()
        self.state.disarm()
        return {call: self.state.count(call) for call in CALLS[1:]}

    def set_out(self, role, call, nth, error, start):
        """Arm, and start what the case wants started: everything, or that role whose start makes another call."""
        p = self.world.postern
        if start:
            p.kill()
        self.state.arm(role, call, nth, error)
        if start:
            self.start()
            return
        self.killed = {"fork": "auth", "thread": "queue", "fallocate": "queue", "hint": "queue"}.get(call)
        if self.killed:
            for pid in p.role_pids(self.killed):
                os.kill(pid, signal.SIGKILL)
            until(lambda: p.events("role-died"), "the death is seen")

    def greets(self):
        try:
            Client(self.world.postern.port, timeout=1).close()
            return True
        except (OSError, Refused):
            return False

    def start(self):
        """A start may fail if it says why; the next one succeeds. The line that says ready may be the write that fails."""
        p = self.world.postern
        p.start(wait=False)
        until(lambda: p.process.poll() is not None or p.events("ready") or (self.call == "write" and self.greets()),
              f"{self.what}: ready, or the end\n{p.log()[-1500:]}")
        code = p.process.poll()
        if code is None:
            return
        self.ended += 1
        if code < 0 and not (code == -signal.SIGABRT and self.call in MAY_DIE):
            self.failures.append(f"{self.what}: the daemon dies of signal {-code}\n{p.log()[-1500:]}")
        elif code == 0 or not p.log():
            self.failures.append(f"{self.what}: the daemon ends with {code} and says: {p.log()[-1500:]}")
        self.state.set("armed", 0)
        p.start()

    def try_one(self, role, call, nth, error, start=False):
        self.what, self.call = f"{role}{' at its start' if start else ''}: {call} number {nth} fails with {errno.errorcode[error]}", call
        self.forget()
        self.tried += 1
        try:
            self.set_out(role, call, nth, error, start)
            self.round()
        except AssertionError as e:
            self.failures.append(f"{self.what}: {e}")
        self.fired += self.state.disarm()
        if self.state.get("resynced"):
            self.failures.append(f"{self.what}: a file whose sync failed is synced again")
        try:
            self.judge(start)
        except AssertionError as e:
            self.failures.append(f"{self.what}: {e}")
            self.anew()

    def judge(self, start):
        p, dead = self.world.postern, self.deaths()
        for who, why in dead:
            # OpenSSL 3.0 touches what is not there if memory is missing at the first use of a digest in a process.
            fault = "signal" in why and "signal 6" not in why
            self.faults += fault and self.call == "malloc"
            # What the supervisor cannot give a role its channels for, it ends.
            if self.call not in MAY_DIE and (not start or ("signal" in why and "signal 9" not in why)):
                self.failures.append(f"{self.what}: {who} died: {why}\n{p.log()[-1500:]}")
        if p.process.poll() is not None:
            if not (p.process.returncode == -signal.SIGABRT and self.call in MAY_DIE):
                self.failures.append(f"{self.what}: the daemon has ended with {p.process.returncode}")
            p.process = None
            p.start()
        elif dead and not start:
            # One that dies again and again is started later each time, and its clients wait: a new daemon has no such memory.
            self.anew()
        if start:
            self.look_for_kept()

    def anew(self):
        self.world.postern.kill()
        self.world.postern.start()

    def missing(self):
        """None but what a queue that may just have begun does not list."""
        def listed():
            done = self.world.postern.run("queue", "list", "--json")
            return done if done.returncode in (0, 3) else None
        return {key for key in self.kept if key not in until(listed, "a list of the queue").stdout}

    def look_for_kept(self):
        """What could not be read may be missing until the next start, if that is said."""
        if not self.missing():
            return
        if not [e for e in self.world.postern.events() if e.get("level") == "error"]:
            self.failures.append(f"{self.what}: mail is missing and nothing was said")
        self.anew()
        if self.missing():
            self.failures.append(f"{self.what}: lost {len(self.missing())} of {len(self.kept)} that waited")

    def counted(self):
        counts = {"calls tried": self.tried, "failed as asked": self.fired, "starts given up": self.ended, "roles ended by a fault of OpenSSL": self.faults}
        counts.update({f"clients were told {line}": n for line, n in self.refusals.items()})
        return counts

    def close(self):
        self.world.close()


def cases(f, roles=ROLES, start=False):
    """(role, call, nth, error, start) for all calls that a run makes."""
    for role in roles:
        counts = f.counts(role, start)
        if not start:
            counts.update({"supervisor": {"fork": 1}, "queue": {"thread": 1, "fallocate": 2, "hint": 1}}.get(role, {}))
        for call in CALLS[1:]:
            for error in ERRORS[call]:
                for nth in some(counts[call]) if start and call == "malloc" else range(1, counts[call] + 1):
                    yield role, call, nth, error, start


def some(count):
    """The first hundred, and sixty of the rest: a library reads its own configuration in thousands of small pieces."""
    return [*range(1, min(count, 100) + 1), *range(101, count + 1, max(1, (count - 100) // 60))]
