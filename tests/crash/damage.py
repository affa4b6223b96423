# SPDX-License-Identifier: ISC
"""
Damage: octets of a spool's files change, files are cut or go. The next start never crashes, keeps all mail
that was not hit, and is loud about what it cannot show whole.
"""

import glob
import os
import random
import shutil
import struct
import subprocess
import tempfile
from contextlib import contextmanager

from client import Client, Refused, letter, subject_of
from house import BUILD, PATIENCE_S, Skip, until
from power import parse
from world import World, mx_zone

ZONES = {"a.example": mx_zone([(10, "mx1", "127.0.0.2")]), "b.example": mx_zone([(10, "mx1", "127.0.0.3")]),
         "c.example": mx_zone([(10, "mx1", "127.0.0.3")])}
HEAD = struct.Struct("<4sBB2xIIQQIIIIQQ")  # docs/queue.md
TYPES = {1: "MSG", 2: "STATE", 3: "DONE", 4: "MOVE", 5: "SEAL"}
BIG = 2
FIELDS = {"magic": 0, "type": 4, "flags": 5, "seq": 8, "batch_off": 12, "batch": 16, "id": 24, "env_len": 32, "parts_len": 36,
          "body_len": 40, "head_sum": 44, "meta_sum": 48, "body_sum": 56}
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
# What says that something is wrong: the log lines of docs/log.md.
LOUD = (b"ev=spool-damage", b"ev=damaged")


class Record:
    def __init__(self, path, at, head):
        self.path, self.at = path, at
        _, kind, flags, _, _, _, self.id, env, parts, body, _, _, _ = head
        self.type, self.env, self.parts, self.body = TYPES[kind], env, parts, 0 if flags & BIG else body
        self.span = (64 + env + parts + self.body + 63) // 64 * 64
        self.big = bool(flags & BIG)

    def places(self):
        """{name: offset in the file} of each field, and of a middle of each text."""
        places = {name: self.at + offset for name, offset in FIELDS.items()}
        texts = (("envelope", 64, self.env), ("part lines", 64 + self.env, self.parts), ("body", 64 + self.env + self.parts, self.body))
        places.update({name: self.at + begin + length // 2 for name, begin, length in texts if length > 0})
        return places


def records(path):
    found, at, octets = [], 0, open(path, "rb").read()
    seq = int(os.path.basename(path)[:8], 16)
    while at + 64 <= len(octets) and octets[at:at + 4] == b"psq1":
        head = HEAD.unpack_from(octets, at)
        if head[3] != seq:  # left there by an earlier use of the file
            break
        found.append(Record(path, at, head))
        at += found[-1].span
    return found


def segments(spool):
    return sorted(p for p in glob.glob(f"{spool}/*.seg") if "free-" not in p)


def hints(spool):
    return sorted(glob.glob(f"{spool}/*.hint"))


class Spool:
    """A spool with records of every type in several segments, sealed with hints; the copies to be damaged."""

    def __init__(self):
        if os.getuid() != 0:
            raise Skip("needs root")
        self.dir = tempfile.mkdtemp(prefix="e2e-damage-")
        self.made, self.copy = f"{self.dir}/made", f"{self.dir}/copy"
        os.mkdir(self.made)
        # On a small file system the segments are small.
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m,mode=0755", "tmpfs", self.made], capture_output=True).returncode != 0:
            shutil.rmtree(self.dir)
            raise Skip("no tmpfs may be mounted here")
        self.mail, self.done, self.failures, self.tried, self.loud = {}, set(), [], 0, 0
        try:
            self.fill()
            self.spool = f"{self.made}/spool"
            self.records = [r for path in segments(self.spool) for r in records(path)]
            self.used = sorted({r.path for r in self.records})
        except BaseException:
            self.close()
            raise

    def fill(self):
        rng = random.Random(1)
        w = World(zones=ZONES, receivers={"127.0.0.2": {"data": lambda m: arrived.add(subject_of(m.data))}}, config="retry 1h\n", start=False)
        arrived, p = set(), w.postern
        p.base = "\n".join(f"spool {self.made}/spool" if line.startswith("spool ") else line for line in p.base.splitlines()) + "\n"
        p.configure(w.config)
        shim = f"{BUILD}/tests/crash/fail.so"
        try:
            if os.path.exists(shim):
                from failing import State
                state = State(f"{p.dir}/fault")
                p.env.update(LD_PRELOAD=shim, FAULT_STATE=f"{p.dir}/fault")
            for number in range(3):
                p.start()
                client = Client(p.port)
                for size in (600, 3000, 9000, 30000, 300000, *[180000] * 9):  # so much lives that nothing need be moved
                    self.send(client, ["x@b.example"], size, rng)
                self.send(client, ["x@b.example", "y@c.example"], 2000, rng)
                done = [self.send(client, ["x@a.example"], 1500, rng) for _ in range(3)]
                until(lambda: {self.mail[key][0] for key in done} <= arrived, "arrival")
                # One at least for each of the two lanes. What comes later waits with its lane, which is known to be down.
                until(lambda: len(p.queue("--status", "deferred")) >= 2, "first attempts")
                until(lambda: {key for key in done} & {row["id"] for row in p.queue()} == set(), "an end")
                self.done.update(done)
                if number == 1 and os.path.exists(shim):
                    state.arm("queue", "fdatasync", 1, 5)
                    try:
                        self.send(client, ["x@b.example"], 700, rng)
                    except Refused:
                        pass
                    assert state.disarm() == 1
                    # What is good in the segment whose sync failed is written again.
                    until(lambda: any(r.type == "MOVE" for path in segments(f"{self.made}/spool") for r in records(path)), "moves")
                client.close()
                p.stop()
        finally:
            w.close()

    def send(self, client, rcpts, size, rng):
        subject = f"letter{len(self.mail)}"
        message = letter(subject, rcpts[0], size, rng)
        key = client.send(rcpts, message)
        self.mail[key] = (subject, message)
        return key

    def close(self):
        subprocess.run(["umount", "-l", self.made], capture_output=True)
        shutil.rmtree(self.dir, ignore_errors=True)

    @contextmanager
    def copied(self):
        shutil.rmtree(self.copy, ignore_errors=True)
        subprocess.run(["cp", "-r", "--sparse=always", self.spool, self.copy], check=True)
        yield self.copy

    def fail(self, what, *words):
        self.failures.append(f"{what}: " + " ".join(str(w) for w in words))

    def recover(self, what):
        done = subprocess.run([f"{BUILD}/tests/crash/recover", self.copy], capture_output=True, timeout=PATIENCE_S)
        if done.returncode != 0:
            self.fail(what, "recovery ends with", done.returncode, done.stderr[-300:])
        return parse(done.stdout), done.stderr

    def check(self, what, hit, must_be_loud=False, may_be_silent=False):
        """`hit`: the ids whose records were touched. Only they may be missing or come back, and never in silence."""
        self.tried += 1
        found, errors = self.recover(what)
        loud = any(word in errors for word in LOUD)
        self.loud += loud
        waiting = set(self.mail) - self.done
        whole = {key for key, body in found.items() if key in self.mail and body.endswith(self.mail[key][1])}
        if not set(found) <= set(self.mail):
            self.fail(what, "unknown", sorted(set(found) - set(self.mail)))
        if (waiting - whole) - hit:
            self.fail(what, "not hit and not whole:", sorted((waiting - whole) - hit))
        if (self.done & set(found)) - hit:
            self.fail(what, "came back, though its end was not hit:", sorted((self.done & set(found)) - hit))
        if not loud and not may_be_silent and (must_be_loud or waiting - whole):
            self.fail(what, "nothing was said; not whole:", sorted(waiting - whole), errors[-500:])
        shown = {key for key, body in found.items() if body and key not in whole}
        if shown:
            self.fail(what, "shown as whole, and is not:", sorted(shown))
        again = self.recover(what)[0] if self.tried % 4 == 0 else found
        if again != found:
            self.fail(what, "a second start finds something else:", sorted(set(again) ^ set(found)))

    # ---- what is done to it ----

    def flip(self, path, at, octet):
        with open(path.replace(self.spool, self.copy), "r+b") as f:
            f.seek(at)
            old = f.read(1)
            f.seek(at)
            f.write(bytes([old[0] ^ octet]))

    def drop_hints(self):
        for path in hints(self.copy):
            os.unlink(path)

    def ids(self, touched):
        return {id_text(r.id) for r in touched}

    def every_field(self, with_hints):
        """One octet of every field of one record of every type is changed."""
        seen, newest = {}, {r.id: r for r in self.records if r.type in ("MSG", "MOVE")}
        for r in self.records:
            if r.type not in ("MSG", "MOVE") or newest[r.id] is r:
                seen.setdefault((r.type, r.big), []).append(r)
        for (kind, big), some in sorted(seen.items()):
            r = some[len(some) // 2]
            for name, at in r.places().items():
                with self.copied():
                    if not with_hints:
                        self.drop_hints()
                    self.flip(r.path, at, 0x41)
                    # A DONE has no texts, a STATE no body: the sums of none are not looked at. A SEAL holds no mail.
                    unused = {"DONE": ("meta_sum", "body_sum"), "STATE": ("body_sum",)}.get(kind, ("body_sum",) if big else ())
                    said = not with_hints and kind != "SEAL" and name not in unused
                    self.check(f"{kind}{' with its body in big/' if big else ''}: {name}{', hints kept' if with_hints else ''}",
                               self.ids([r]), must_be_loud=said)
        return {kind for kind, _ in seen}

    def at_random(self, seed):
        """A few changes of any kind anywhere."""
        rng, touched, what = random.Random(seed), [], []
        with self.copied():
            bare = rng.random() < 0.5
            if bare:
                self.drop_hints()
                what.append("no hints")
            for _ in range(rng.choice((1, 1, 2, 5))):
                way = rng.choice(("flip", "flip", "zeros", "noise", "cut", "remove", "hint"))
                what.append(way)
                touched += getattr(self, f"do_{way}")(rng)
            # Without hints nothing tells of a first or last segment that is not there, or of more behind the last record.
            ends = [r for r in self.records if r.type == "SEAL"] + [r for r in self.records if r.path == self.used[0]][:1]
            self.check(f"seed {seed}: {', '.join(what)}", self.ids(touched), may_be_silent=bare and any(r in touched for r in ends))

    def change(self, rng, length, make):
        path = rng.choice(self.used)
        mine = [r for r in self.records if r.path == path]
        begin = rng.randrange(mine[-1].at + mine[-1].span)
        with open(path.replace(self.spool, self.copy), "r+b") if os.path.exists(path.replace(self.spool, self.copy)) else open(os.devnull, "r+b") as f:
            f.seek(begin)
            f.write(make(length))
        return [r for r in mine if r.at < begin + length and begin < r.at + r.span]

    def do_flip(self, rng):
        return self.change(rng, 1, rng.randbytes)

    def do_zeros(self, rng):
        return self.change(rng, rng.randrange(1, 20000), bytes)

    def do_noise(self, rng):
        return self.change(rng, rng.randrange(1, 20000), rng.randbytes)

    def do_cut(self, rng):
        path = rng.choice(self.used)
        mine = [r for r in self.records if r.path == path]
        end = rng.randrange(mine[-1].at + mine[-1].span)
        if os.path.exists(path.replace(self.spool, self.copy)):
            os.truncate(path.replace(self.spool, self.copy), end)
        return [r for r in mine if r.at + r.span > end]

    def do_remove(self, rng):
        path = rng.choice(self.used)
        if os.path.exists(path.replace(self.spool, self.copy)):
            os.unlink(path.replace(self.spool, self.copy))
        return [r for r in self.records if r.path == path]

    def do_hint(self, rng):
        for path in hints(self.copy)[-1:]:
            with open(path, "r+b") as f:
                f.seek(rng.randrange(os.path.getsize(path)))
                f.write(rng.randbytes(1))
        return []


def id_text(number):
    """As lib/mail/ids.c writes it."""
    for factor in (0xff51afd7ed558ccd, 0xc4ceb9fe1a85ec53):
        number = (number ^ number >> 33) * factor & (1 << 64) - 1
    number ^= number >> 33
    return "".join(ALPHABET[number >> 59 - 5 * i & 31] for i in range(12)) + ALPHABET[number & 15]
