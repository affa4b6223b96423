# SPDX-License-Identifier: ISC
"""A queue moves to another host: `queue export`, `queue import`, and `queue fsck` looks at what is on the disk."""

import glob
import io
import os
import random
import re
import subprocess
import tarfile
import time

from house import BIN, Postern, until
from receiver import Receiver
from verify import assert_signed
from world import SENDER, assert_unchanged, letter, mx_zone, world

ZONES = {"a.example": mx_zone([(10, "mx1", "127.0.0.2")]), "c.example": mx_zone([(10, "mx1", "127.0.0.3")])}


def archive(path):
    with tarfile.open(path) as t:
        return {m.name: t.extractfile(m).read() for m in t.getmembers()}


def pack(path, files):
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as t:
        for name, text in files:
            info = tarfile.TarInfo(name)
            info.size = len(text)
            t.addfile(info, io.BytesIO(text))


def numbers(text):
    """{"messages imported": 3, ...} out of the sentence at the end."""
    return {words: int(n) for n, words in re.findall(r"(\d+) ([a-z ]+)", text.strip().splitlines()[-1])}


def second(w):
    """Another host with the same configuration and keys, not started."""
    p = Postern(w.config)
    os.makedirs(p.dir + "/state")
    subprocess.run(["cp", "-a", w.postern.dir + "/state/.", p.dir + "/state"], check=True)
    return p


def fill(w):
    """Three messages that wait: one for two domains, deferred; one on hold; one of 1 MB, paused."""
    sent = [letter(), letter(), letter(body="Hello,\r\n.\r\n..\r\n" + ("x" * 70 + "\r\n") * 15000)]
    w.postern.send(SENDER, ["b@a.example", "b@c.example"], sent[0])
    w.postern.wait_event("deferred", 2)
    w.postern.run("pause", check=0)
    for s in sent[1:]:
        w.postern.send(SENDER, ["b@a.example"], s)
    until(lambda: len(w.postern.queue()) == 3, what="three messages")
    held = [r["id"] for r in w.postern.queue() if r["state"] != "deferred" and r["size"] < 10000]
    w.postern.run("queue", "hold", *held, check=0)
    return sent, held[0]


def test_export_and_import():
    """what waits here is delivered from there: once, unchanged, signed; importing twice changes nothing"""
    with world(zones=ZONES, config="retry 1h") as w:
        sent, held = fill(w)
        tar = w.postern.dir + "/queue.tar"
        assert "3 messages exported" in w.postern.run("queue", "export", tar, check=0).stdout
        assert os.stat(tar).st_mode & 0o777 == 0o600
        running = archive(tar)
        w.postern.stop()
        w.postern.run("queue", "export", tar, check=0)
        assert archive(tar) == running, "the daemon tells the same as its spool"
        one = next(text for text in running.values() if sent[0] in text)
        for line in (rb"X-Postern-From: <app@sender.example>", rb"X-Postern-To: tries=1 <b@a.example>",
                     rb"X-Postern-To: tries=1 <b@c.example>", rb"X-Postern-Accepted: \d{13} 20\d\d-"):
            assert re.search(rb"(?m)^" + line, one), one[:900]
        assert b"X-Postern-Hold:" in running[held + ".eml"]
        w.receivers = {h: Receiver(h, w.port) for h in ("127.0.0.2", "127.0.0.3")}
        other = second(w)
        try:
            assert numbers(other.run("queue", "import", tar, check=0).stdout) == {"messages imported": 3}
            assert numbers(other.run("queue", "import", tar, check=0).stdout) == {"messages imported": 0, "in the queue already": 3}
            assert [r["state"] for r in other.queue("--status", "held")] == ["held"]
            other.start()
            w.receivers["127.0.0.2"].wait(2)
            w.receivers["127.0.0.3"].wait(1)
            other.run("queue", "release", held, check=0)
            w.receivers["127.0.0.2"].wait(3)
            until(lambda: other.queue() == [], what="empty queue")
            got = {h: sorted(m.data for m in r.messages) for h, r in w.receivers.items()}
            assert [len(v) for v in got.values()] == [3, 1], got.keys()
            for s in sent:
                assert_unchanged(s, next(d for d in got["127.0.0.2"] if d.endswith(s)))
            assert_unchanged(sent[0], got["127.0.0.3"][0])
            for d in sum(got.values(), []):
                assert_signed(d, w.nsd, "sender.example")
        finally:
            other.close()


def test_import_into_a_running_daemon():
    """an import that was cut short goes on; --hold keeps all back; filters choose what is exported"""
    with world(zones=ZONES, config="retry 1h") as w:
        sent, held = fill(w)
        tar = w.postern.dir + "/queue.tar"
        w.postern.run("queue", "export", tar, check=0)
        only = w.postern.dir + "/only.tar"
        w.postern.run("queue", "export", only, "--domain", "c.example", check=0)
        assert len(archive(only)) == 1
        piped = subprocess.run([BIN, "queue", "export", "-", "-c", w.postern.conf], capture_output=True, env=w.postern.env)
        assert piped.returncode == 0 and piped.stdout == open(tar, "rb").read(), piped.stderr
        files = list(archive(tar).items())
        pack(tar, files)
        other = second(w)
        try:
            other.start()
            cut = w.postern.dir + "/cut.tar"
            whole = open(tar, "rb").read()
            first = 512 + (len(files[0][1]) + 511) // 512 * 512
            with open(cut, "wb") as f:
                f.write(whole[:first + 600])
            r = other.run("queue", "import", "--hold", cut)
            assert r.returncode == 1 and "1 message imported" in r.stdout and "ends" in r.stderr, r
            r = other.run("queue", "import", "--hold", tar, check=0)
            assert numbers(r.stdout) == {"messages imported": 2, "in the queue already": 1}, r
            assert sorted(r["id"] for r in other.queue("--status", "held")) == sorted(n[:-4] for n, _ in files)
            assert len(other.events("imported")) == 3
            w.receivers = {h: Receiver(h, w.port) for h in ("127.0.0.2", "127.0.0.3")}
            other.run("queue", "release", "--all", check=0)
            w.receivers["127.0.0.2"].wait(3)
            w.receivers["127.0.0.3"].wait(1)
            until(lambda: other.queue() == [], what="empty queue")
            piped = subprocess.run([BIN, "queue", "import", "-", "-c", other.conf], input=whole, capture_output=True, env=other.env)
            assert piped.returncode == 0 and b"0 messages imported, 3 already imported" in piped.stdout, piped
        finally:
            other.close()


def test_interrupted_import():
    """nothing is delivered before an import is whole; the second try brings the rest, and all goes out once"""
    with world(zones=ZONES, config="retry 1h") as w:
        sent, held = fill(w)
        tar = w.postern.dir + "/queue.tar"
        w.postern.run("queue", "release", held, check=0)
        w.postern.run("queue", "export", tar, check=0)
        w.postern.stop()
        w.receivers = {h: Receiver(h, w.port) for h in ("127.0.0.2", "127.0.0.3")}
        whole = open(tar, "rb").read()
        first = 512 + (len(next(iter(archive(tar).values()))) + 511) // 512 * 512
        other = second(w)
        try:
            other.start()
            client = subprocess.Popen([BIN, "queue", "import", "-", "-c", other.conf], stdin=subprocess.PIPE, env=other.env)
            client.stdin.write(whole[:first + 1000])
            client.stdin.flush()
            other.wait_event("imported")
            client.kill()
            client.wait()
            client.stdin.close()
            row, = other.queue()
            assert row["state"] == "held" and "has not finished" in row["why"], row
            other.stop()
            other.start()
            assert not w.receivers["127.0.0.2"].messages
            assert numbers(other.run("queue", "import", tar, check=0).stdout) == {"messages imported": 2, "in the queue already": 1}
            w.receivers["127.0.0.2"].wait(3)
            w.receivers["127.0.0.3"].wait(1)
            until(lambda: other.queue() == [], what="empty queue")
            assert [len(r.messages) for r in w.receivers.values()] == [3, 1]
            for s in sent:
                assert_unchanged(s, next(m.data for m in w.receivers["127.0.0.2"].messages if m.data.endswith(s)))
        finally:
            other.close()


def forget(p):
    """What the store itself remembers of mail that is gone goes with the segments it was in."""
    p.stop()
    for path in glob.glob(p.dir + "/spool/*.seg") + glob.glob(p.dir + "/spool/*.hint"):
        os.unlink(path)
    p.start()


def test_repeated_import():
    """an archive that is imported again after its mail was delivered, or deleted, sends nothing twice; --again does, and may be cut short, too"""
    with world(zones=ZONES, config="retry 1h") as w:
        sent, held = fill(w)
        tar = w.postern.dir + "/queue.tar"
        w.postern.run("queue", "export", tar, check=0)
        os.chmod(tar, 0o400)
        w.postern.stop()
        w.receivers = {h: Receiver(h, w.port) for h in ("127.0.0.2", "127.0.0.3")}
        other = second(w)

        def counts():
            return [len(r.messages) for r in w.receivers.values()]
        try:
            other.start()
            assert numbers(other.run("queue", "import", tar, check=0).stdout) == {"messages imported": 3}
            w.receivers["127.0.0.2"].wait(2)
            until(lambda: [r["id"] for r in other.queue()] == [held], what="the held one is left")
            other.run("queue", "delete", held, check=0)
            until(lambda: other.queue() == [], what="empty queue")
            forget(other)
            r = other.run("queue", "import", tar, check=0)
            assert numbers(r.stdout) == {"messages imported": 0, "already imported": 3} and "--again" in r.stderr, r
            assert '"past":3' in other.run("queue", "import", tar, "--json", check=0).stdout
            other.stop()
            assert numbers(other.run("queue", "import", tar, check=0).stdout) == {"messages imported": 0, "already imported": 3}
            assert other.run("queue", "fsck", check=0)
            other.start()
            assert other.queue() == [] and counts() == [2, 1]
            # What is cut short waits; the same command brings the rest, under the same new ids.
            other.run("pause", check=0)
            whole, cut = open(tar, "rb").read(), other.dir + "/cut.tar"
            with open(cut, "wb") as f:
                f.write(whole[:512 + (len(next(iter(archive(tar).values()))) + 511) // 512 * 512 + 600])
            r = other.run("queue", "import", "--again", "--hold", cut)
            assert r.returncode == 1 and "1 message imported" in r.stdout, r
            other.kill()
            other.start()
            assert numbers(other.run("queue", "import", "--again", tar, check=0).stdout) == {"messages imported": 2, "in the queue already": 1}
            ids = [r["id"] for r in other.queue()]
            assert len(set(ids)) == 3 and not set(ids) & {name[:-4] for name in archive(tar)}, ids
            other.run("queue", "release", "--all", check=0)
            other.run("resume", check=0)
            until(lambda: other.queue() == [], what="empty queue")
            assert counts() == [5, 2]
            forget(other)
            assert numbers(other.run("queue", "import", tar, check=0).stdout) == {"messages imported": 0, "already imported": 3}
            assert numbers(other.run("queue", "import", "--again", "--hold", tar, check=0).stdout) == {"messages imported": 3}
            assert not set(ids) & {r["id"] for r in other.queue()}
        finally:
            other.close()


def test_import_through_kills():
    """kill -9 of the daemon at random moments of an import, and the same command again: each message is there once, and is delivered once"""
    with world(zones=ZONES, config="retry 1h") as w:
        w.postern.run("pause", check=0)
        subjects = [f"number {i}" for i in range(60)]
        for subject in subjects:
            w.postern.send(SENDER, ["b@a.example"], letter(subject=subject, body="x" * 70 + "\r\n" + ("y" * 70 + "\r\n") * 500))
        tar = w.postern.dir + "/queue.tar"
        w.postern.run("queue", "export", tar, check=0)
        w.postern.stop()
        receiver = Receiver("127.0.0.2", w.port)
        w.receivers = {"127.0.0.2": receiver}
        other = second(w)
        try:
            other.start()
            other.run("pause", check=0)  # a death in the middle of a delivery makes copies by itself
            for _ in range(6):
                client = subprocess.Popen([BIN, "queue", "import", tar, "-c", other.conf], env=other.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                time.sleep(random.random() * 0.3)
                other.kill()
                client.wait(60)
                other.start()
            until(lambda: other.run("queue", "import", tar).returncode == 0, what="a whole import")
            assert len(other.queue()) == len(subjects)
            other.run("resume", check=0)
            receiver.wait(len(subjects))
            until(lambda: other.queue() == [], what="empty queue")
            forget(other)
            assert numbers(other.run("queue", "import", tar, check=0).stdout) == {"messages imported": 0, "already imported": len(subjects)}
            assert sorted(re.search(rb"Subject: (number \d+)", m.data)[1].decode() for m in receiver.messages) == sorted(subjects)
        finally:
            other.close()


def test_import_of_strange_archives():
    """what is no message of ours is named and skipped; the others come in"""
    with world(zones=ZONES, config="retry 1h") as w:
        w.postern.send(SENDER, ["b@a.example"], letter())
        w.postern.wait_event("deferred")
        tar = w.postern.dir + "/queue.tar"
        w.postern.run("queue", "export", tar, check=0)
        (name, good), = archive(tar).items()
        w.postern.stop()
        other = second(w)
        try:
            bad = {
                "plain.eml": letter(),
                "empty.eml": b"",
                "id.eml": re.sub(rb"Id: \S+", b"Id: ../../x", good),
                "rcpt.eml": good.replace(b"<b@a.example>\r\nX-Postern-End", b"<b@a.example\r\nX-Postern-End"),
                "none.eml": re.sub(rb"X-Postern-To:.*\r\n", b"", good),
                "field.eml": b"X-Postern-Evil: 1\r\n" + good,
                "cut.eml": good[:-3],
                "longer.eml": good + b"more\r\n",
                "lf.eml": re.sub(rb"Hello,\r\n", b"Hello,\n\n", good),
            }
            pack(tar, [*bad.items(), ("./folder/" + name, good)])
            r = other.run("queue", "import", tar)
            assert r.returncode == 1 and numbers(r.stdout) == {"message imported": 1, "skipped": len(bad)}, r
            for n in bad:
                assert f"{n}: " in r.stderr, (n, r.stderr)
            assert [r["id"] + ".eml" for r in other.queue()] == [name]
            for octets in (b"", b"no tar" * 1000, open(tar, "rb").read()[:700]):
                with open(tar, "wb") as f:
                    f.write(octets)
                assert other.run("queue", "import", tar).returncode == 1
            assert other.run("queue", "import", tar + ".no").returncode == 1
            assert other.run("queue", "import").returncode == 2
        finally:
            other.close()


def test_fsck():
    """fsck reads all files of the spool, names what is damaged and the messages concerned, and changes nothing"""
    def flip(path, at):
        with open(path, "r+b") as f:
            f.seek(at)
            octet = f.read(1)
            f.seek(at)
            f.write(bytes([octet[0] ^ 1]))

    with world(zones=ZONES, config="retry 1h") as w:
        sent, held = fill(w)
        spool = w.postern.dir + "/spool"
        r = w.postern.run("queue", "fsck")
        assert r.returncode == 75 and "uses this spool" in r.stderr, r
        w.postern.stop()

        def listing():
            return {f: open(f, "rb").read() for f in glob.glob(spool + "/**", recursive=True) if os.path.isfile(f) and not f.endswith("/LOCK")}
        r = w.postern.run("queue", "fsck", check=0)
        assert "damaged" not in r.stdout and "3 messages in the queue" in r.stdout and "big/" in r.stdout, r.stdout
        segment, = [f for f in listing() if f.endswith(".seg") and "free" not in f and sent[1] in open(f, "rb").read()]
        flip(segment, open(segment, "rb").read().find(sent[1]) + 5)
        big, = glob.glob(spool + "/big/*")
        os.rename(big, spool + "/big/0123456789abcdef")
        open(spool + "/big/fedcba9876543210.tmp", "w").close()
        for hint in glob.glob(spool + "/*.hint"):
            flip(hint, 40)
        before = listing()
        r = w.postern.run("queue", "fsck")
        assert r.returncode == 1, r
        assert listing() == before, "fsck changes nothing"
        for words in (rf"damaged +{held} +at \d+: the body is not", r"big/\w+ +damaged +\w+ +is not there",
                      r"0123456789abcdef +good +- +belongs to no message|0123456789abcdef +good +belongs to no message",
                      r"tmp +good .*temporary", r"hint +damaged"):
            assert re.search(words, r.stdout), (words, r.stdout)
        assert '"state":"damaged"' in w.postern.run("queue", "fsck", "--json").stdout
        size = os.path.getsize(segment)
        os.truncate(segment, size - 4096)
        assert "shorter than it was made" in w.postern.run("queue", "fsck").stdout
        os.truncate(segment, size)
        w.postern.start()
        assert [[r["id"] for r in w.postern.queue(*o)] for o in (["--damaged"], ["--status", "damaged"])] == [[held]] * 2
        tar = w.postern.dir + "/queue.tar"
        r = w.postern.run("queue", "export", tar)
        assert r.returncode == 1 and held in r.stderr and len(archive(tar)) == 1, r
