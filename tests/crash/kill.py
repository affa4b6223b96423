# SPDX-License-Identifier: ISC
"""
kill -9 of one role or of all, at random moments, under twelve sessions of load and with a receiver
that takes its time at the final dot: nothing is lost, and a second copy comes only
where the reply to a dot was on its way when something died.
"""

import os
import random
import signal
import subprocess
import threading
import time

from client import Load, kill_all, subject_of
from house import until
from world import World, mx_zone

ZONES = {"a.example": mx_zone([(10, "mx1", "127.0.0.2")])}
ROLES = ("smtpd", "queue", "delivery", "keyd", "auth", "all", "supervisor")
SESSIONS = 12
KILLS_A_ROUND = 50


class Arrivals:
    """What the receiver took, and when: a dot's reply is on its way from its data to a while after it was said."""

    def __init__(self):
        self.lock = threading.Lock()
        self.spans = {}  # subject: [(data came, reply said)]

    def data(self, message):
        begin = time.monotonic()
        time.sleep(0.02)
        with self.lock:
            self.spans.setdefault(subject_of(message.data), []).append((begin, time.monotonic()))


class Round:
    def __init__(self, kills, seed):
        self.rng = random.Random(seed)
        self.kills = []  # (when, whom)
        self.arrivals = Arrivals()
        self.failures = []
        self.world = World(zones=ZONES, receivers={"127.0.0.2": {"data": self.arrivals.data}}, config="retry 1s 1s 1s\n")
        try:
            self.run(kills)
        finally:
            self.world.close()

    def run(self, kills):
        p = self.world.postern
        load = Load(p.port, SESSIONS, seed=self.rng.randrange(10 ** 6), pause=0.01)
        for _ in range(kills):
            promised = load.n_promised
            time.sleep(self.rng.random() * 0.25)
            self.kill(p, self.rng.choice(ROLES))
            until(lambda: load.n_promised > promised + 5, 40, f"load goes on after {self.kills[-1]}")
        self.promised = load.stop()
        subjects = {m.subject for m in self.promised}
        try:
            until(lambda: subjects <= set(self.arrivals.spans), 60, "all that was promised arrives")
            until(lambda: int(p.status().get("queue_messages", -1)) == 0, 60, "an empty queue")
        except AssertionError as e:
            self.failures.append(str(e))
        lost = subjects - set(self.arrivals.spans)
        if lost:
            self.failures.append(f"lost: {sorted(lost)[:10]} and so on, {len(lost)} in all, after {self.kills[-3:]}")
        self.count_copies()

    def kill(self, p, whom):
        self.kills.append((time.monotonic(), whom))
        if whom == "all":
            kill_all(p)
            p.start()
        elif whom == "supervisor":
            group = p.process.pid
            os.kill(group, signal.SIGKILL)
            p.process.wait()
            until(lambda: subprocess.run(["pgrep", "-g", str(group)], capture_output=True).returncode, 30, "the roles follow their supervisor")
            p.start()
        else:
            pids = p.role_pids(whom)
            if pids:
                os.kill(self.rng.choice(pids), signal.SIGKILL)

    def count_copies(self):
        """
        An end reaches the disk some 50 ms behind the reply, and the disk is shared with the load: second copies of
        what had its reply long before anything died are failures.
        """
        self.copies = 0
        for subject, spans in self.arrivals.spans.items():
            for (begin, said), _ in zip(spans, spans[1:]):
                self.copies += 1
                if not any(begin - 0.2 <= when <= said + 1.0 for when, _ in self.kills):
                    self.failures.append(f"{subject} came twice, though nothing died within a second of its reply")

    def summary(self):
        return f"{len(self.kills)} kills, {len(self.promised)} promised, {self.copies} copies of mail whose reply was on its way, {len(self.failures)} failures"


def soak(kills, seed, say):
    bad = total = copies = promised = 0
    while total < kills:
        seed += 1
        r = Round(min(KILLS_A_ROUND, kills - total), seed)
        total, copies, promised, bad = total + len(r.kills), copies + r.copies, promised + len(r.promised), bad + len(r.failures)
        say(f"kill: seed {seed}:", r.summary())
        for failure in r.failures[:10]:
            print("   ", failure)
    say(f"kill: {total} kills, {promised} promised, {copies} copies where the reply to a dot was on its way, {bad} failures")
    return bad
