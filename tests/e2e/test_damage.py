# SPDX-License-Identifier: ISC
"""Files of the spool that something changed while the daemon was stopped."""

import glob
import os
import sys
import time

sys.path.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "crash"))

from damage import TYPES, Spool  # noqa: E402
from world import SENDER, letter, mx_zone, world  # noqa: E402

NOBODY = {"a.example": mx_zone([(10, "mx1", "127.0.0.3")])}
COUNT = 120
SIZE = 60000  # so that 4 MiB and more are in use


def body(number):
    return "".join(f"{number:03d}/{i:04d} {'x' * 60}\r\n" for i in range(SIZE // 70))


def filled(w):
    """A stopped daemon whose queue holds COUNT messages; {id: subject}."""
    p, kept = w.postern, {}
    with p.smtp() as s:
        s.ehlo()
        for number in range(COUNT):
            subject = f"number {number}"
            for command, code in ((f"MAIL FROM:<{SENDER}>", 250), ("RCPT TO:<x@a.example>", 250)):
                assert s.docmd(command)[0] == code
            code, text = s.data(letter(to="x@a.example", subject=subject, body=body(number)))
            assert code == 250, text
            kept[text.decode().split("queued as ")[1].split()[0]] = subject
    assert len(p.queue()) == COUNT
    p.stop()
    return kept


def segments(w):
    return sorted(f for f in glob.glob(f"{w.postern.dir}/spool/*.seg") if "free-" not in f)


def largest(w):
    """The segment that holds mail: the others are spares."""
    return max(segments(w), key=lambda f: len(open(f, "rb").read().rstrip(b"\0")))


def change(path, at, octets):
    with open(path, "r+b") as f:
        f.seek(at)
        f.write(octets)


def find(path, text):
    at = open(path, "rb").read().find(text)
    assert at >= 0, text
    return at


def damaged_world(damage):
    """Fill, stop, damage, start: what the queue then lists, what it calls damaged, and what the log says."""
    with world(zones=NOBODY, config="retry 1h\n") as w:
        p = w.postern
        kept = filled(w)
        before = len(p.events())
        damage(w)
        p.start()
        listed = {r["id"] for r in p.queue()}
        bad = {r["id"] for r in p.queue("--status", "damaged")}
        errors = [e for e in p.events()[before:] if e.get("level") == "error"]
        for key in list(kept)[:3] + list(kept)[-3:]:
            if key in listed - bad:
                assert f"Subject: {kept[key]}\n" in p.run("queue", "cat", key, check=0).stdout.replace("\r", "")
        p.send(SENDER, ["x@a.example"], letter(to="x@a.example"))
        assert not p.events("role-died"), p.log()[-2000:]
        assert p.stop() == 0
        return kept, listed, bad, errors


def no_hints(w):
    for hint in glob.glob(f"{w.postern.dir}/spool/*.hint"):
        os.unlink(hint)


def test_a_flipped_body():
    """one octet of a body is changed: that message is held and shown as damaged, all others are there"""
    def damage(w):
        path = largest(w)
        change(path, find(path, b"040/0100 "), b"\xff")
        no_hints(w)
    kept, listed, bad, errors = damaged_world(damage)
    assert listed == set(kept)
    assert [kept[key] for key in bad] == ["number 40"]
    assert any(e["ev"] == "damaged" and e["id"] in bad for e in errors), errors


def test_a_flipped_body_behind_a_hint():
    """one octet of a body is changed and the hint knows nothing of it: nothing is lost, nothing else suffers"""
    def damage(w):
        path = largest(w)
        change(path, find(path, b"040/0100 "), b"\xff")
    kept, listed, bad, errors = damaged_world(damage)
    assert listed == set(kept)
    assert {kept[key] for key in bad} <= {"number 40"}


def test_a_flipped_header():
    """the header of a record is overwritten: the start says so loudly, all other mail is there"""
    def damage(w):
        path = largest(w)
        at = find(path, b"Subject: number 40\r\n")
        begin = open(path, "rb").read().rfind(b"\r\n", 0, at - 4000) if at > 4000 else 0
        change(path, max(begin, 64) // 64 * 64, os.urandom(6000))
        no_hints(w)
    kept, listed, bad, errors = damaged_world(damage)
    assert any(e["ev"] in ("spool-damage", "damaged") for e in errors), errors
    lost = set(kept) - (listed - bad)
    assert 1 <= len(lost) <= 2, sorted(kept[key] for key in lost)


def test_a_segment_cut_short():
    """a segment is cut in the middle: the start says so loudly, what is in front of the cut is there"""
    def damage(w):
        path = largest(w)
        os.truncate(path, find(path, b"Subject: number 80\r\n"))
        no_hints(w)
    kept, listed, bad, errors = damaged_world(damage)
    assert {kept[key] for key in listed - bad} >= {f"number {i}" for i in range(80)}
    assert errors, "nothing was said"


def test_a_segment_cut_short_behind_a_hint():
    """a segment is cut in the middle and its hint is there: the same"""
    def damage(w):
        path = largest(w)
        os.truncate(path, find(path, b"Subject: number 80\r\n"))
    kept, listed, bad, errors = damaged_world(damage)
    assert {kept[key] for key in listed - bad} >= {f"number {i}" for i in range(80)}
    assert errors or bad, "nothing was said"


def test_a_lost_hint():
    """hints are removed or full of nonsense: nothing is lost, and nothing need be said"""
    def damage(w):
        hints = glob.glob(f"{w.postern.dir}/spool/*.hint")
        assert hints
        for number, hint in enumerate(hints):
            if number % 2:
                os.unlink(hint)
            else:
                change(hint, 0, os.urandom(200))
    kept, listed, bad, errors = damaged_world(damage)
    assert listed == set(kept) and not bad and not errors, errors


def test_a_segment_removed():
    """a segment in the middle is removed: the start says so loudly, and goes on with what is left"""
    def damage(w):
        # So much lives that nothing is moved together: the one in the middle keeps a neighbour on each side.
        w.postern.start()
        bulk = letter(to="x@a.example", subject="bulk", body=(("x" * 76 + "\r\n") * 2300))  # below the 192 KiB of what goes into the log
        with w.postern.smtp() as s:
            for _ in range(790):
                s.sendmail(SENDER, ["x@a.example"], bulk)
        w.postern.stop()
        of_log = [f for f in segments(w) if b"Subject: bulk\r\n" in open(f, "rb").read()]
        assert len(of_log) >= 3, of_log
        os.unlink(of_log[1])
    kept, listed, bad, errors = damaged_world(damage)
    assert set(kept) <= listed
    assert any(e["ev"] == "spool-damage" for e in errors), errors


def damaged_spool(act):
    spool = Spool()
    try:
        act(spool)
        assert not spool.failures, "\n".join(spool.failures[:20])
        assert spool.loud > spool.tried / 4, f"{spool.loud} of {spool.tried} damages were told"
    finally:
        spool.close()


def test_every_field_of_every_record():
    """an octet of any field of any type of record is changed, and there are no hints: never in silence, never a crash, all else is there"""
    kinds = set()
    damaged_spool(lambda s: kinds.update(s.every_field(with_hints=False)))
    assert kinds >= set(TYPES.values()) - {"MOVE"}, kinds


def test_every_field_of_every_record_behind_hints():
    """the same while the hints are there: what is read for delivery is whole, or shown as damaged"""
    damaged_spool(lambda s: s.every_field(with_hints=True))


def test_damage_at_random():
    """files are cut, removed, zeroed, flipped and full of noise at random: the same"""
    seed = int(time.time())
    damaged_spool(lambda s: [s.at_random(seed + i) for i in range(60)])
