# SPDX-License-Identifier: ISC
"""
kill -9 of one role or of all, at random moments, under twelve sessions of load and with a receiver
that takes its time at the final dot: nothing is lost, and a second copy comes only
where the reply to a dot was on its way when something died.
"""

import bisect
import calendar
import os
import random
import re
import signal
import threading
import time
from collections import Counter

from client import Load, subject_of
from house import group_lives, until
from pauses import Pauses
from world import LOGINS, World, mx_zone

ZONES = {"a.example": mx_zone([(10, "mx1", "127.0.0.2")])}
ROLES = ("smtpd", "queue", "delivery", "keyd", "auth", "all", "supervisor")
# The others' death cuts no reply off: neither the connection nor what is known of it is theirs.
MAKE_COPIES = {"queue", "delivery", "all", "supervisor"}
SESSIONS = 12
READ_S = 1.0  # a reply that was read is in the queue's hands long before this, on a busy machine too
DELIVERED = re.compile(r"^ts=(\S+) .*\bev=delivered .*\bid=(\w+) ", re.M)
RECEIVED_ID = re.compile(rb"\bid (\w+)")


class Arrival:
    """
    One copy at the receiver. `how` it went on: "early" (the connection was given up before the reply was said), "next" (a command
    behind the reply), "closed" or "reset" (the reply stayed unread).
    """

    def __init__(self, message):
        self.subject = subject_of(message.data)
        self.id = RECEIVED_ID.search(message.data).group(1).decode()
        self.came, self.said, self.gone, self.how = time.time(), None, None, "open"


class Arrivals:
    """What the receiver took, and what it knows of the replies."""

    def __init__(self, slow):
        self.lock, self.slow = threading.Lock(), slow
        self.copies = {}  # subject: [Arrival]

    def data(self, message):
        message.arrival = a = Arrival(message)
        with self.lock:
            self.copies.setdefault(a.subject, []).append(a)
        time.sleep(self.slow)
        a.said = time.time()

    def after(self, message, how):
        message.arrival.gone, message.arrival.how = time.time(), how


class Round:
    def __init__(self, kills, seed, roles=ROLES, early=False):
        self.rng, self.roles = random.Random(seed), roles
        self.kills = []  # (when, when it was gone, whom)
        self.arrivals, self.pauses = Arrivals(0.02), Pauses(time.time)
        self.failures, self.lost = [], set()
        self.world = World(zones=ZONES, receivers={"127.0.0.2": {"data": self.arrivals.data, "after": self.arrivals.after}},
                           config="retry 1s 1s 1s\n" + LOGINS, start=False)
        try:
            if early:
                from power import shim
                shim(self.world, f"{self.world.postern.dir}/fault", early=1)
            self.world.postern.start()
            self.run(kills)
        finally:
            self.world.close()

    def run(self, kills):
        p = self.world.postern
        load = Load(p.port, SESSIONS, clock=time.time, seed=self.rng.randrange(10 ** 6), pause=0.01)
        for _ in range(kills):
            promised = load.n_promised
            time.sleep(self.rng.random() * 0.25)
            self.kill(p, self.rng.choice(self.roles))
            until(lambda: load.n_promised > promised + 5, f"load goes on after {self.kills[-1]}")
        self.promised = load.stop()
        subjects = {m.subject for m in self.promised}
        try:
            until(lambda: int(p.status().get("queue_messages", -1)) == 0, "an empty queue")
        except AssertionError as e:
            self.failures.append(str(e))
        self.lost = subjects - set(self.arrivals.copies)
        if self.lost:
            self.failures.append(f"lost: {sorted(self.lost)[:10]} and so on, {len(self.lost)} in all, after {self.kills[-3:]}")
        self.judge_copies(p.log())

    def kill(self, p, whom):
        when = time.time()
        if whom == "all":
            p.kill()
        elif whom == "supervisor":
            group = p.process.pid
            os.kill(group, signal.SIGKILL)
            p.process.wait()
            until(lambda: not group_lives(group), "the roles follow their supervisor")
        else:
            pids = p.role_pids(whom)
            if pids:
                pid = self.rng.choice(pids)
                os.kill(pid, signal.SIGKILL)
                until(lambda: is_dead(pid), f"{whom} dies")
        self.kills.append((when, time.time(), whom))
        if whom in ("all", "supervisor"):
            p.start()

    # ---- second copies ----

    def judge_copies(self, log):
        """Counts those whose reply was cut off, was not told to the queue yet, or was not on the disk yet; others are failures."""
        self.cut, self.untold, self.unwritten = Counter(), Counter(), Counter()
        ends = known_ends(log)
        by_begin = sorted((m.ended, m.promised) for m in self.promised)
        # Of all mail that was begun at by_begin[i] or later, the first promise.
        first = [promised for _, promised in by_begin]
        for i in range(len(first) - 2, -1, -1):
            first[i] = min(first[i], first[i + 1])
        begins = [ended for ended, _ in by_begin]

        def is_written(known, when):
            """What the queue was given after this end had been promised by then: batches go to the disk in order."""
            i = bisect.bisect_right(begins, known)
            return i < len(first) and first[i] < when

        for subject, copies in self.arrivals.copies.items():
            for a, b in zip(copies, copies[1:]):
                known = next((t for t in ends.get(a.id, []) if a.came < t <= b.came), None)
                why = self.unexplained(a, b, known, is_written)
                if why:
                    self.failures.append(f"{subject} came twice: {why}; {vars(a)}; again at {b.came}; kills {[k for k in self.kills if a.came - 2 < k[1] and k[0] < b.came]}\n"
                                         + told_of(log, a.id, a.came - 2, b.came + 1))

    def unexplained(self, a, b, known, is_written):
        # The first copy may come while what was killed still takes its last breath. What the queue knows outlives delivery.
        deaths = [(gone, whom) for when, gone, whom in self.kills if whom in MAKE_COPIES and self.pauses.ran(gone, a.came) <= READ_S and when <= b.came
                  and (whom != "delivery" or not known)]
        if not deaths:
            return "nothing died in between" if not known else "the queue knew its end, and nothing died but delivery"
        gone, whom = deaths[0]
        if a.how in ("early", "reset"):
            self.cut[whom] += 1
            return None
        if self.pauses.ran(known or a.said, gone) > READ_S:
            return "its reply was read long before anything died"
        if not known:
            self.untold[whom] += 1
            return None
        if is_written(known, gone):
            return "its end was on the disk"
        self.unwritten[whom] += 1
        return None

    def summary(self):
        return (f"{len(self.kills)} kills, {len(self.promised)} promised, {self.cut.total()} copies of mail whose reply was cut off on its way, "
                f"{self.untold.total()} whose reply the queue had not heard of, {self.unwritten.total()} whose end was not on the disk, {len(self.failures)} failures")

    def counts(self):
        counts = {"kills": len(self.kills), "messages promised": len(self.promised)}
        for what, copies in (("was cut off on its way", self.cut), ("was read, but the queue had not heard of it", self.untold),
                             ("was read, but its end was not yet on the disk", self.unwritten)):
            for whom, n in copies.items():
                counts[f"copies where the reply {what} (killed: {whom})"] = n
        return counts


def is_dead(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def seconds_of(ts):
    return calendar.timegm(time.strptime(ts[:19], "%Y-%m-%dT%H:%M:%S")) + float("0" + ts[19:].rstrip("Z"))


def told_of(log, key, begin, end):
    """What the log says of one message, and of roles that came and went, in some seconds."""
    lines = [line for line in log.splitlines() if key in line or re.search(r"\bev=(role-|peer-gone|ready|stop)", line)]
    return "\n".join(line[:300] for line in lines if line.startswith("ts=") and begin <= seconds_of(line[3:].split(" ", 1)[0]) <= end)


def known_ends(log):
    """{id: [when the queue had a receiver's reply]}, a millisecond late rather than early."""
    ends = {}
    for ts, key in DELIVERED.findall(log):
        ends.setdefault(key, []).append(seconds_of(ts) + 0.001)
    return ends

