# SPDX-License-Identifier: ISC
"""
Loss of power: the daemon takes mail on a recorded disk, and each disk that a crash could
leave must hold, whole and once, all mail that was promised until then.
"""

import os
import random
import subprocess
import time

import disk
from client import Load, subject_of
from house import BUILD
from pauses import Pauses
from world import World, mx_zone

ZONES = {"a.example": mx_zone([(10, "mx1", "127.0.0.2")]), "b.example": mx_zone([(10, "mx1", "127.0.0.3")]),
         "c.example": mx_zone([(10, "mx1", "127.0.0.2")])}
# Mail to a is delivered, to b stays (nobody listens), to c is refused and bounces.
RCPTS = ["x@a.example"] * 5 + ["x@b.example"] * 4 + ["x@c.example"]
DONE_S = 3  # an end is written within 50 ms and the load's share of the disk


def size(rng):
    kind = rng.random()
    return rng.randrange(500, 6000) if kind < 0.87 else rng.randrange(20000, 90000) if kind < 0.985 else rng.randrange(270000, 400000)


def shim(world, state_path, **values):
    """Start postern with fail.so, its state as in `values`."""
    import failing
    state = failing.State(state_path)
    for name, value in values.items():
        state.set(name, value)
    world.postern.env.update(LD_PRELOAD=f"{BUILD}/tests/crash/fail.so", FAULT_STATE=state_path)
    return state


class Run:
    """One recording and its load."""

    def __init__(self, file_system, seconds, seed, lie=False, messages=10 ** 9, sessions=8):
        self.rng, self.pauses = random.Random(seed), Pauses(time.monotonic)
        self.seed, self.file_system = seed, file_system
        self.failures, self.points, self.daemons, self.again, self.checked = [], 0, 0, 0, 0
        self.world = self.recording = self.replay = self.load = None
        try:
            self.recording = disk.Recording(f"{BUILD}/tests/crash/recorder", file_system)
            self.world = World(zones=ZONES, receivers={"127.0.0.2": {"rcpt": self.on_rcpt, "data": self.on_data}},
                               config="retry 1s 2s 2s\n", start=False)
            self.place(self.recording.mounted)
            if lie:
                shim(self.world, f"{self.recording.dir}/fault", lie=1)
            self.refuse_all = False
            self.record(seconds, seed, messages, sessions)
        except BaseException:
            self.close()
            raise

    def place(self, mounted):
        p = self.world.postern
        lines = [line for line in p.base.splitlines() if not line.startswith("spool ")]
        p.base = "\n".join(lines + [f"spool {mounted}/spool"]) + "\n"
        p.configure(self.world.config)

    def on_rcpt(self, address, session):
        if self.refuse_all:
            return "450 4.2.0 later"
        return "550 5.1.1 nobody of that name" if address.endswith("@c.example") else None

    def on_data(self, message):
        while self.load is None:  # its first sessions may be quicker than the last of them are begun
            time.sleep(0.01)
        m = self.load.sent.get(subject_of(message.data))
        if m and m.delivered is None:
            m.delivered = self.recording.position()

    def record(self, seconds, seed, messages, sessions):
        self.world.postern.start()
        self.load = Load(self.world.postern.port, sessions, clock=self.recording.position, rcpts=RCPTS, sizes=size, seed=seed)
        self.begin = self.recording.position()
        end = time.time() + seconds
        while time.time() < end and self.load.n_promised < messages:
            time.sleep(0.05)
        self.end = self.recording.position()
        self.promised = self.load.stop()
        if self.world.postern.process.poll() is not None:
            raise AssertionError(f"the daemon has ended with {self.world.postern.process.returncode}:\n{self.world.postern.log()[-3000:]}")
        self.world.postern.kill()
        self.world.postern.env.pop("LD_PRELOAD", None)
        self.recording.end()
        self.refuse_all = True
        self.replay = disk.Replay(self.recording)

    def choose(self, count):
        """Half of the points anywhere, half at the very moment of a promise, where it is tightest."""
        r = self.replay
        anywhere = [e.end for e in r.entries if self.begin <= e.end <= self.end]
        promises = [m.promised for m in self.promised if m.promised <= self.end]
        points = self.rng.choices(anywhere, k=count - count // 2) + self.rng.choices(promises or anywhere, k=count // 2)
        return sorted(points)

    def fail(self, position, *words):
        self.failures.append(f"{self.file_system} seed {self.seed} position {position}: " + " ".join(str(w) for w in words))

    def check(self, count, daemon_every=0):
        """Look at `count` crashes. With `daemon_every` n, each n-th disk is also given to the whole daemon."""
        for number, position in enumerate(self.choose(count)):
            image = self.replay.image(position, self.rng)
            self.points += 1
            try:
                if disk.mount(image, self.recording.mounted, self.file_system):
                    self.check_disk(position, daemon_every and number % daemon_every == daemon_every - 1)
                else:
                    self.fail(position, "the file system cannot be mounted")
            finally:
                disk.unmount(self.recording.mounted)
                os.unlink(image)
        return self

    def check_disk(self, position, daemon):
        spool = f"{self.recording.mounted}/spool"
        if daemon:
            self.check_daemon(position)
        if not os.path.isdir(spool):
            os.mkdir(spool)
        found = self.recover(position, spool)
        self.compare(position, found)
        if self.points % 10 == 0 and self.recover(position, spool) != found:
            self.fail(position, "a second recovery finds something else than the first")

    def check_daemon(self, position):
        p = self.world.postern
        self.daemons += 1
        self.place(self.recording.mounted)
        try:
            p.start()
            listed = {row["id"] for row in p.queue()}
            lost = [m.id for m in self.expected(position) if m.id not in listed and not m.rcpt.endswith("@c.example")]
            if lost:
                self.fail(position, f"the daemon does not list {len(lost)} messages", lost[:5])
        except AssertionError as e:
            self.fail(position, "daemon:", str(e)[-600:])
        finally:
            if p.process:
                p.kill()

    def recover(self, position, spool):
        path = f"{self.recording.dir}/found"
        with open(path, "wb") as f:  # a pipe would take longer than the recovery
            done = subprocess.run([f"{BUILD}/tests/crash/recover", spool], stdout=f, stderr=subprocess.PIPE, timeout=120)
        if done.returncode != 0:
            self.fail(position, f"recovery ends with {done.returncode}", done.stderr[-300:])
        if b"damage" in done.stderr:
            self.fail(position, "false alarm:", done.stderr[-300:].decode("utf-8", "replace"))
        with open(path, "rb") as f:
            return parse(f.read())

    def expected(self, position):
        return [m for m in self.promised if m.promised <= position and not (m.delivered and m.delivered <= position)]

    def compare(self, position, found):
        bounces = b"".join(body for key, body in found.items() if key not in self.by_id())
        for m in self.expected(position):
            self.checked += 1
            body = found.get(m.id)
            if body is None and m.rcpt.endswith("@c.example") and f"Subject: {m.subject}\r\n".encode() in bounces:
                continue
            if body is None:
                self.fail(position, "lost", m.id, m.subject, m.rcpt)
            elif not body.endswith(m.message):
                self.fail(position, "changed", m.id, m.subject)
        now = self.replay.time_at(position)
        subjects = set()
        for key, body in found.items():
            m = self.by_id().get(key)
            if m is None:
                continue
            if m.subject in subjects:
                self.fail(position, "twice", key, m.subject)
            subjects.add(m.subject)
            if m.delivered and m.delivered <= position:
                self.again += 1
                if self.pauses.ran(self.replay.time_at(m.delivered), now) > DONE_S:
                    self.fail(position, "came back", key, m.subject)

    def by_id(self):
        if not hasattr(self, "ids"):
            self.ids = {m.id: m for m in self.promised}
        return self.ids

    def close(self):
        if self.replay:
            self.replay.close()
        if self.world:
            self.world.close()
        if self.recording:
            self.recording.close()

    def summary(self):
        return (f"{self.file_system}: {self.points} crashes, {len(self.promised)} messages promised, {self.checked} checks of a message, "
                f"{self.daemons} daemons, {self.again} delivered again, {len(self.failures)} failures")


def parse(octets):
    """{id: body} as recover printed it; b"" for a damaged one."""
    found, at = {}, 0
    while at < len(octets):
        end = octets.index(b"\n", at)
        key, length, _ = octets[at:end].decode().split()
        at = end + 1 + int(length)
        found[key] = octets[end + 1:at]
    return found


def crash(file_system, points, seconds, seed, **arguments):
    """A recording with its crashes, checked; the ended Run."""
    daemon_every = arguments.pop("daemon_every", 0)
    run = Run(file_system, seconds, seed, **arguments)
    try:
        return run.check(points, daemon_every)
    finally:
        run.close()


__all__ = ["crash"]
