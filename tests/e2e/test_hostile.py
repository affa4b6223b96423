# SPDX-License-Identifier: ISC
import smtplib
import socket
import time

from house import until
from test_submit import ONE, Office
from world import SENDER, letter, world


def refused(fn):
    try:
        fn()
    except smtplib.SMTPResponseException as e:
        return e.smtp_code, e.smtp_error.decode()
    except smtplib.SMTPRecipientsRefused as e:
        return next(iter(e.recipients.values()))
    raise AssertionError("taken")


def test_over_rate_waits():
    """mail over the rate of a network is taken, waits with why=over-rate, survives a restart, and leaves at the rate"""
    with world(zones=ONE, receivers={"127.0.0.2": {}}, config="trust 127.0.0.0/8 { rate 5/min }\nsmtpd-processes 2") as w:
        begin = time.time()
        for _ in range(8):  # of several connections, so of several processes
            w.postern.send(SENDER, ["b@a.example"], letter())
        late = w.postern.wait_event("deferred", 3, why="over-rate")
        assert all(e["client"] == "127.0.0.1" and e["rcpts"] == "1" for e in late), late
        w.receivers["127.0.0.2"].wait(5)
        waiting = until(lambda: len(w.postern.queue()) == 3 and w.postern.queue(), 20, "the three that wait")
        assert all(m["state"] == "deferred" and m["why"] == "over-rate" and m["tries"] == 0 for m in waiting), waiting
        waits = sorted(m["next_ms"] for m in waiting)
        assert 8000 < waits[1] - waits[0] < 16000 and 8000 < waits[2] - waits[1] < 16000, waits
        w.postern.stop()
        w.postern.start()
        again = sorted(m["next_ms"] for m in w.postern.queue())
        assert again and again[-1] <= waits[-1], (again, waits)
        w.receivers["127.0.0.2"].wait(6, 60)
        assert time.time() - begin > 11, "the sixth left before its time"
        w.postern.run("queue", "retry", "--all", check=0)
        w.receivers["127.0.0.2"].wait(8, 60)


def test_over_quota_is_refused():
    """over the quota of a login the client hears 452 and why; others and the network go on"""
    with Office(config="user * { quota 3/d }") as w:
        def submit(rcpts):
            with w.postern.smtp(w.submission) as s:
                s.starttls(context=w.context)
                s.login("app1", "secret one")
                s.sendmail(SENDER, rcpts, letter())
        submit(["b@a.example", "c@a.example"])
        code, text = refused(lambda: submit(["b@a.example", "c@a.example"]))
        assert code == 452 and "over the quota of 3 recipients for login app1" in text, (code, text)
        submit(["d@a.example"])
        code, text = refused(lambda: submit(["b@a.example"]))
        assert code == 452 and "try again in 24 h" in text, text
        assert len(w.postern.wait_event("reject", 2, why="over-quota")) == 2
        w.postern.send(SENDER, ["e@a.example"], letter())
        w.receivers["127.0.0.2"].wait(3)


def peak_kib(pid):
    """The most memory that a process has had of its own: the program's files do not count."""
    fields = dict(line.split(":", 1) for line in open(f"/proc/{pid}/status") if ":" in line)
    return int(fields["VmHWM"].split()[0]) - int(fields["RssFile"].split()[0])


def test_memory_has_a_ceiling():
    """200 clients that hold back 250 KiB each get 452 or a file, memory stays below its ceiling, others go on afterwards"""
    with world(zones=ONE, receivers={"127.0.0.2": {}}, config="memory 16M\nsmtpd-processes 1\ndelivery-processes 1") as w:
        pid = w.postern.role_pids("smtpd")[0]
        head = b"From: App <app@sender.example>\r\n" + b"".join(b"X-%d: %s\r\n" % (i, b"x" * 500) for i in range(480))
        socks, replies = [], []
        for i in range(200):
            s = socket.create_connection(("127.0.0.1", w.postern.port), 30)
            s.sendall(b"EHLO flood.example\r\nMAIL FROM:<app@sender.example>\r\nRCPT TO:<b@a.example>\r\nDATA\r\n")
            f = s.makefile("rb")
            line = b""
            while not line.startswith((b"354", b"4", b"5")):
                line = f.readline()
                assert line, i
            if line.startswith(b"354"):
                s.sendall(head if i % 2 else b"From: App <app@sender.example>\r\n\r\n" + b"y" * 70 + b"\r\n" + (b"z" * 70 + b"\r\n") * 3000)
                socks.append((s, f))
            else:
                replies.append(line)
                s.close()
        time.sleep(0.5)
        grown = peak_kib(pid)
        for s, f in socks:
            s.sendall(b"\r\n.\r\n")
        for s, f in socks:
            replies.append(f.readline())
            s.close()
        short = [r for r in replies if r.startswith(b"452 4.3.1 memory is short")]
        assert short, replies[-3:]
        fine = (b"250", b"452 4.", b"451 4.", b"421 4.3.2")
        assert all(r.startswith(fine) for r in replies), [r for r in replies if not r.startswith(fine)][:3]
        assert grown < 24 * 1024, f"{grown} KiB with a ceiling of 8 MiB for smtpd"
        assert w.postern.wait_event("reject", 1, why="no-memory")
        assert w.postern.role_pids("smtpd") == [pid]
        w.postern.send(SENDER, ["b@a.example"], letter())
