# SPDX-License-Identifier: ISC
"""No room: a small file system that fills under load, and a process without descriptors."""

import errno
import os
import random
import resource
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

sys.path.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "crash"))

from client import Client, Load, Refused, letter, subject_of  # noqa: E402
from house import BUILD, PATIENCE_S, Skip, until  # noqa: E402
from power import shim  # noqa: E402
from world import mx_zone, world  # noqa: E402

ZONES = {"a.example": mx_zone([(10, "mx1", "127.0.0.2")])}
TICKS = os.sysconf("SC_CLK_TCK")


@contextmanager
def small_disk(megabytes=32):
    """A world whose spool is a tmpfs, whose receiver refuses for now until `w.open` is set."""
    if os.getuid() != 0:
        raise Skip("needs root")
    arrived = []

    def rcpt(address, session):
        return None if w.open else "450 4.2.0 later"

    with world(zones=ZONES, receivers={"127.0.0.2": {"rcpt": rcpt, "data": lambda m: arrived.append(subject_of(m.data))}},
               config="retry 1h\n", start=False) as w:
        w.open, w.arrived = False, arrived
        spool = f"{w.postern.dir}/spool"
        os.mkdir(spool, 0o700)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0700", "tmpfs", spool], capture_output=True).returncode != 0:
            raise Skip("no tmpfs may be mounted here")
        try:
            w.postern.start()
            yield w
        finally:
            w.open = True
            if w.postern.process:
                w.postern.stop()
            subprocess.run(["umount", "-l", spool])


def rests(pids, share):
    """The processes take less than this share of a core, once what they had to do is done."""
    def look():
        before, begin = cpu_seconds(pids), time.monotonic()
        time.sleep(3)
        return (cpu_seconds(pids) - before) / (time.monotonic() - begin) < share
    until(look, f"less than {share:.0%} of a core")


def cpu_seconds(pids):
    total = 0
    for pid in pids:
        fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def all_pids(w):
    return [w.postern.process.pid, *(pid for role in ("smtpd", "queue", "delivery", "keyd", "auth") for pid in w.postern.role_pids(role))]


def resumes(w):
    """Intake resumes; what there is to know if it does not."""
    try:
        until(lambda: answer_to_mail(w).startswith("250"), "intake resumes")
    except AssertionError as e:
        spool = f"{w.postern.dir}/spool"
        files = [(name, os.stat(f"{spool}/{name}").st_blocks // 2) for name in sorted(os.listdir(spool))]
        raise AssertionError(f"{e}; {answer_to_mail(w)}; {w.postern.status()}; KiB: {files}\n{w.postern.log()[-1500:]}")


def let_go(w):
    w.open = True
    assert w.postern.run("queue", "retry", "--all").returncode in (0, 3)  # 3: nothing waits just now


def all_arrive(w, promised):
    """What was refused for now a moment ago comes back to the queue after a `let_go`: so once more, until nothing is left."""
    def there():
        if {m.subject for m in promised} <= set(w.arrived):
            return True
        let_go(w)
        time.sleep(0.5)
        return False
    until(there, f"all {len(promised)} arrive")


def answer_to_mail(w):
    client = Client(w.postern.port)
    try:
        client.socket.sendall(b"MAIL FROM:<app@sender.example>\r\n")
        return client.reply()
    finally:
        client.close()


def test_full_disk():
    """a full disk: 452 4.3.1 at MAIL, deliveries go on and make room, intake resumes, nothing is lost, little is burnt"""
    with small_disk() as w:
        load = Load(w.postern.port, 6, sizes=lambda rng: rng.randrange(2000, 100000))
        until(lambda: load.refused.get("452", 0) > 20, f"452; so far {load.refused}")
        load.running = False
        promised = load.stop()
        assert set(load.refused) <= {"452", "451"}, load.refused
        until(lambda: answer_to_mail(w).startswith("452 4.3.1"), "452 4.3.1 at MAIL")
        assert not w.postern.events("role-died")
        rests(all_pids(w), 0.05)
        let_go(w)
        all_arrive(w, promised)
        until(lambda: answer_to_mail(w).startswith("250"), "intake resumes")
        assert len(w.arrived) == len(set(w.arrived))
        again = Load(w.postern.port, 4)
        until(lambda: again.n_promised > 50, "mail is taken again")
        last = again.stop()
        all_arrive(w, last)


def test_full_while_delivering():
    """a disk that is full again and again while deliveries go on: nothing is lost or stuck"""
    with small_disk() as w:
        load = Load(w.postern.port, 6, sizes=lambda rng: rng.choice((3000, 60000, 400000)), seed=2)
        for _ in range(3):
            seen = load.refused.get("452", 0)
            until(lambda: load.refused.get("452", 0) > seen + 5, f"452; so far {load.refused}")
            promised = load.n_promised
            let_go(w)
            until(lambda: load.n_promised > promised + 30, "intake goes on")
            w.open = False
        let_go(w)
        promised = load.stop()
        all_arrive(w, promised)
        assert not w.postern.events("role-died")


def test_full_in_a_large_message():
    """the disk fills in the middle of a large message: a 4xx at the dot, nothing left behind, small mail goes on"""
    with small_disk() as w:
        w.open = True
        client = Client(w.postern.port)
        large = letter("large", "x@a.example", 40 * 1024 * 1024, random.Random(1))
        try:
            client.start(["x@a.example"])
            client.socket.sendall(large + b".\r\n")
            line = client.reply()
            assert line[:3] in ("452", "451"), line
        except (ConnectionError, Refused) as e:
            assert not isinstance(e, Refused) or e.code in ("452", "451"), e
        finally:
            client.close()
        load = Load(w.postern.port, 2)
        until(lambda: load.n_promised > 20, "small mail goes on")
        promised = load.stop()
        all_arrive(w, promised)
        until(lambda: not os.listdir(f"{w.postern.dir}/spool/big"), "no part of it is left")
        assert "large" not in w.arrived and not w.postern.events("role-died")


def fill(path, leave):
    """Write a file until so many octets are free."""
    with open(path, "wb") as f:
        st = os.statvfs(path)
        f.write(bytes(max(0, st.f_bavail * st.f_frsize - leave)))


def segments(w):
    """The sizes of those that have all their blocks."""
    files = [os.stat(f"{w.postern.dir}/spool/{name}") for name in os.listdir(f"{w.postern.dir}/spool") if name.endswith(".seg")]
    return [st.st_size for st in files if st.st_size and st.st_blocks * 512 >= st.st_size]


def send_at_once(w, number, size):
    """As many sessions come to their dot at the same time: what each was told, and what was promised."""
    told, promised, met = [], [], threading.Barrier(number)

    def run(i):
        client = Client(w.postern.port)
        message = letter(f"at-once-{i}", "x@a.example", size, random.Random(i))
        met.wait()
        try:
            client.send(["x@a.example"], message)
            promised.append(f"at-once-{i}")
        except Refused as e:
            told.append(e.line)
        finally:
            client.close()
    threads = [threading.Thread(target=run, args=(i,), daemon=True) for i in range(number)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(PATIENCE_S)
    assert not any(t.is_alive() for t in threads), "somebody is not answered"
    return told, promised


def test_full_at_a_segment_switch():
    """the disk fills just when the next segment must be made: all are answered, 250 or for now, intake resumes when there is room"""
    with small_disk() as w:
        assert works(w)
        until(lambda: len(segments(w)) == 2, "a segment and a spare")
        filler = f"{w.postern.dir}/spool/filler"
        fill(filler, 3 * 1024 * 1024)  # more than is wanted for mail to be taken, less than a segment
        assert answer_to_mail(w).startswith("250")
        told, promised = send_at_once(w, 70, 180000)  # still in the log, not files of their own
        assert told and promised, (told, promised)
        assert all(line[:3] in ("451", "452") for line in told), told
        until(lambda: answer_to_mail(w).startswith("452 4.3.1"), "452 4.3.1 at MAIL")
        assert len(segments(w)) == 2, "there was no room for a third"
        let_go(w)
        until(lambda: set(promised) <= set(w.arrived) or let_go(w), "deliveries go on without room")
        os.unlink(filler)
        resumes(w)
        load = Load(w.postern.port, 4)
        until(lambda: load.n_promised > 50, "mail is taken again")
        all_arrive(w, load.stop())
        assert not w.postern.events("role-died")


def test_full_while_writing_a_hint():
    """no room for the hint of a segment: nothing is lost, half a hint is not kept, and the next start makes it"""
    if not os.path.exists(f"{BUILD}/tests/crash/fail.so"):
        raise Skip("not with sanitizers")
    with world(zones=ZONES, start=False) as w:
        p = w.postern
        state = shim(w, f"{p.dir}/fault")
        p.start()
        p.run("pause", check=0)
        client = Client(p.port)
        kept = {client.send(["x@a.example"], letter(f"k{i}", "x@a.example", 3000, random.Random(i))) for i in range(20)}
        client.close()
        state.arm("queue", "hint", 1, errno.ENOSPC)
        p.stop()
        assert state.disarm() == 1
        assert not hints(p), "half a hint is left"
        done = p.run("queue", "fsck")
        assert done.returncode == 0, done.stdout + done.stderr
        for _ in range(2):  # the first reads the segment, the second its hint
            p.start()
            assert {row["id"] for row in p.queue()} == kept
            assert not p.events("spool-damage") and not p.events("damaged")
            assert hints(p)
            p.stop()


def hints(p):
    return [name for name in os.listdir(f"{p.dir}/spool") if name.endswith(".hint")]


def test_full_and_started_anew():
    """a daemon that is killed with its disk full starts again and delivers all"""
    with small_disk() as w:
        load = Load(w.postern.port, 6, sizes=lambda rng: rng.randrange(2000, 100000), seed=3)
        until(lambda: load.refused.get("452", 0) > 20, f"452; so far {load.refused}")
        promised = load.stop()
        w.postern.kill()
        w.open = True
        w.postern.start()
        let_go(w)
        all_arrive(w, promised)
        resumes(w)


def test_out_of_descriptors():
    """an smtpd without descriptors does not spin, keeps its sessions, and takes new ones when there are some again"""
    if os.getuid() != 0:
        raise Skip("needs root")
    with world(zones=ZONES, receivers={"127.0.0.2": {}}) as w:
        old = Client(w.postern.port)
        pids = w.postern.role_pids("smtpd")
        for pid in pids:
            # Its channels, its listener and a few sessions.
            hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)[1]
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (len(os.listdir(f"/proc/{pid}/fd")) + 3, hard))

        waiting = [socket.create_connection(("127.0.0.1", w.postern.port)) for _ in range(40)]
        rests(pids, 0.1)
        old.send(["x@a.example"], letter("old", "x@a.example", 1000, random.Random(1)))
        old.close()
        for s in waiting:
            s.close()
        for pid in pids:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (1024, hard))
        until(lambda: works(w), "new sessions are served")
        assert w.postern.role_pids("smtpd") == pids


def works(w):
    try:
        client = Client(w.postern.port, timeout=30)
        client.send(["x@a.example"], letter("new", "x@a.example", 1000, random.Random(1)))
        client.close()
        return True
    except (OSError, Refused):
        return False
