# SPDX-License-Identifier: ISC
import os
import signal
import smtplib
import socket
import subprocess
import threading
import time

from house import BIN, PATIENCE_S, Postern, clean_environment, until
from receiver import Receiver
from world import LOGINS, SENDER, letter, mx_zone, world

ONE = {"a.example": mx_zone([(10, "mx1", "127.0.0.2")])}


class Load:
    """Clients that submit numbered messages all the time and remember which were answered 250."""

    def __init__(self, postern, clients=4):
        self.postern, self.acknowledged, self.running = postern, [], True
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.client, args=(i,), daemon=True) for i in range(clients)]
        for t in self.threads:
            t.start()

    def client(self, number):
        count = 0
        while self.running:
            try:
                with self.postern.smtp(timeout=PATIENCE_S) as s:
                    for _ in range(20):
                        if not self.running:
                            break
                        count += 1
                        subject = f"n{number}x{count}"
                        s.sendmail(SENDER, ["b@a.example"], letter(subject=subject))
                        with self.lock:
                            self.acknowledged.append(subject)
                        time.sleep(0.005)
            except (smtplib.SMTPException, OSError):
                time.sleep(0.05)

    def stop(self):
        self.running = False
        for t in self.threads:
            t.join(PATIENCE_S)
        return self.acknowledged


def subject_of(message):
    return message.data.split(b"\r\nSubject: ", 1)[1].split(b"\r\n", 1)[0].decode()


def assert_all_arrive(w, acknowledged):
    receiver = w.receivers["127.0.0.2"]
    until(lambda: set(acknowledged) <= {subject_of(m) for m in list(receiver.messages)},
          f"all {len(acknowledged)} acknowledged messages arrive")
    until(lambda: w.postern.queue_messages() == 0, "empty queue")
    subjects = [subject_of(m) for m in receiver.messages]
    return len(subjects) - len(set(subjects))


def greeting_within(connection, seconds):
    connection.settimeout(seconds)
    try:
        return connection.recv(100)
    except TimeoutError:
        return None


def test_new_smtpd_waits_for_the_word_of_the_queue():
    """who comes before the queue has said how it is waits for his greeting, and is not refused"""
    p = Postern("hostname mail.sender.example\ndomains sender.example\ndkim-sign off\ndnssec off\nsmtpd-processes 1\n")
    queue = None
    try:
        p.start()
        queue, smtpd = p.role_pids("queue")[0], p.role_pids("smtpd")[0]
        os.kill(queue, signal.SIGSTOP)
        os.kill(smtpd, signal.SIGKILL)
        until(lambda: p.role_pids("smtpd") not in ([], [smtpd]), "a new smtpd")
        with socket.create_connection(("127.0.0.1", p.port)) as early:
            assert greeting_within(early, 1) is None
            os.kill(queue, signal.SIGCONT)
            assert greeting_within(early, PATIENCE_S).startswith(b"220 ")
            early.sendall(b"HELO me\r\n")
            assert early.recv(4096).startswith(b"250 ")
            early.sendall(b"MAIL FROM:<app@sender.example>\r\n")
            assert early.recv(4096).startswith(b"250 ")
    finally:
        if queue is not None:
            os.kill(queue, signal.SIGCONT)
        p.close()


def kill_role(role):
    with world(zones=ONE, receivers={"127.0.0.2": {}}, config="retry 1s 1s 2s\n" + LOGINS) as w:
        load = Load(w.postern)
        for _ in range(3):
            before = len(load.acknowledged)
            until(lambda: len(load.acknowledged) > before + 20, f"load goes on after {role} died")
            # The load may go on before the last one that died is back.
            os.kill(until(lambda: w.postern.role_pids(role), f"a process of role {role}")[0], signal.SIGKILL)
            time.sleep(0.3)
        before = len(load.acknowledged)
        until(lambda: len(load.acknowledged) > before + 20, f"load goes on after {role} died")
        acknowledged = load.stop()
        w.postern.wait_event("role-died", 3)
        assert_all_arrive(w, acknowledged)


def test_kill_smtpd():
    """kill -9 of smtpd under load loses nothing"""
    kill_role("smtpd")


def test_kill_queue():
    """kill -9 of queue under load loses nothing"""
    kill_role("queue")


def test_kill_delivery():
    """kill -9 of delivery under load loses nothing"""
    kill_role("delivery")


def test_kill_keyd():
    """kill -9 of keyd under load loses nothing"""
    kill_role("keyd")


def test_kill_auth():
    """kill -9 of auth under load loses nothing"""
    kill_role("auth")


def test_kill_all():
    """kill -9 of everything under load, start again: every acknowledged message arrives"""
    with world(zones=ONE, receivers={"127.0.0.2": {"data": lambda m: time.sleep(0.02)}}, config="retry 1s 1s 2s") as w:
        load = Load(w.postern)
        for _ in range(3):
            before = len(load.acknowledged)
            until(lambda: len(load.acknowledged) > before + 30, "load")
            w.postern.kill()
            w.postern.start()
        acknowledged = load.stop()
        assert_all_arrive(w, acknowledged)


def test_sigterm_drains():
    """SIGTERM: idle sessions get 421, a running DATA finishes, the queue stays, a new start delivers it"""
    with world(zones=ONE, config="retry 2s") as w:
        with w.postern.smtp() as s:
            s.sendmail(SENDER, ["b@a.example"], letter(subject="left"))
        w.postern.wait_event("deferred")
        idle = socket.create_connection(("127.0.0.1", w.postern.port), timeout=PATIENCE_S)
        idle.recv(1000)
        busy = socket.create_connection(("127.0.0.1", w.postern.port), timeout=PATIENCE_S)
        busy.recv(1000)
        busy.sendall(f"EHLO c\r\nMAIL FROM:<{SENDER}>\r\nRCPT TO:<b@a.example>\r\nDATA\r\n".encode())
        heard = b""
        while b"354 " not in heard:
            heard += busy.recv(10000)
        message = letter(subject="running")
        busy.sendall(message[:50])
        time.sleep(0.2)
        w.postern.process.send_signal(signal.SIGTERM)
        got = b""
        while piece := idle.recv(1000):
            got += piece
        assert b"421 " in got, got
        busy.sendall(message[50:] + b".\r\n")
        got = b""
        while b"\r\n" not in got:
            piece = busy.recv(1000)
            assert piece, got
            got += piece
        assert got.startswith(b"250 "), got
        assert w.postern.process.wait(PATIENCE_S) == 0
        w.postern.process = None
        stop = w.postern.wait_event("stop")[-1]
        assert stop["queue"] == "2", stop
        w.receivers["127.0.0.2"] = Receiver("127.0.0.2", w.port)
        w.postern.start()
        assert {subject_of(m) for m in w.receivers["127.0.0.2"].wait(2)} == {"left", "running"}


def test_second_daemon_refuses():
    """a second daemon on the same spool refuses with a clear line, and a killed one leaves no stale lock"""
    with world(zones=ONE) as w:
        second = subprocess.run([BIN, "run", "-c", w.postern.conf], capture_output=True, text=True, timeout=PATIENCE_S, env=clean_environment(), stdin=subprocess.DEVNULL)
        assert second.returncode != 0 and "spool" in second.stderr and ("another" in second.stderr or "already" in second.stderr), second.stderr
        assert w.postern.status()
        w.postern.kill()
        w.postern.start()


def test_spool_that_cannot_be_opened():
    """mail is refused for now while the spool cannot be opened, and taken by itself as soon as it can"""
    with world(zones=ONE, receivers={"127.0.0.2": {}}, start=False) as w:
        w.postern.start()
        w.postern.stop()
        big = f"{w.postern.dir}/spool/big"
        os.rename(big, big + ".away")
        open(big, "w").close()
        w.postern.start()
        with w.postern.smtp() as s:
            s.ehlo()
            code, text = s.mail(SENDER)
            assert code == 451, (code, text)
        assert "big" in w.postern.run("status", check=None).stdout
        os.unlink(big)
        os.rename(big + ".away", big)

        def taken():
            try:
                w.postern.send(SENDER, ["b@a.example"], letter())
                return True
            except smtplib.SMTPException:
                return False
        until(taken, "the spool is opened")
        w.receivers["127.0.0.2"].wait(1)


def test_reload():
    """reload swaps a good file whole and refuses a bad one; old sessions keep the old configuration"""
    with world(zones=ONE, receivers={"127.0.0.2": {}}) as w:
        old = w.postern.smtp()
        old.ehlo()
        w.postern.configure(w.config + "max-sizes 1M\n")
        r = w.postern.run("reload")
        assert r.returncode == 78 and "max-size" in r.stdout + r.stderr and "did you mean" in r.stdout + r.stderr, r
        w.postern.send(SENDER, ["b@a.example"], letter())
        w.postern.configure(w.config + "max-size 1M\n")
        w.postern.run("reload", check=0)
        w.postern.wait_event("reload")
        with w.postern.smtp() as s:
            s.ehlo()
            assert s.esmtp_features["size"] == str(1024 * 1024), s.esmtp_features
        old.ehlo()
        assert old.esmtp_features["size"] == str(50 * 1024 * 1024), old.esmtp_features
        old.sendmail(SENDER, ["b@a.example"], letter())
        old.quit()
        w.receivers["127.0.0.2"].wait(2)
        w.postern.configure(w.config.replace("domains sender.example", "domains other.example"))
        os.kill(w.postern.process.pid, signal.SIGHUP)
        w.postern.wait_event("reload", 2)
        with w.postern.smtp() as s:
            s.ehlo()
            assert s.docmd(f"MAIL FROM:<{SENDER}>")[0] == 550


def test_systemd_is_told():
    """READY, RELOADING and STOPPING go to NOTIFY_SOCKET"""
    with world(zones=ONE, start=False) as w:
        path = w.postern.dir + "/notify"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.bind(path)
            os.chmod(path, 0o777)
            s.settimeout(PATIENCE_S)
            w.postern.env["NOTIFY_SOCKET"] = path
            w.postern.start()

            def heard(word):
                while word not in s.recv(4096):
                    pass
                return True
            assert heard(b"READY=1")
            os.kill(w.postern.process.pid, signal.SIGHUP)
            assert heard(b"RELOADING=1") and heard(b"READY=1")
            w.postern.process.send_signal(signal.SIGTERM)
            assert heard(b"STOPPING=1")


def test_ordinary_user_or_root_drops():
    """started as root the roles run as user-account; the spool belongs to it"""
    from house import Skip
    if os.getuid() != 0:
        raise Skip("needs root")
    with world(zones=ONE, config=LOGINS, receivers={"127.0.0.2": {}}, start=False) as w:
        os.chmod(w.postern.dir, 0o755)
        w.postern.base = w.postern.base.replace("user-account root", "user-account nobody")
        w.postern.configure(w.config)
        w.postern.start()
        w.postern.send(SENDER, ["b@a.example"], letter())
        w.receivers["127.0.0.2"].wait(1)
        for role in ("smtpd", "auth", "queue", "delivery", "keyd"):
            pid = w.postern.role_pids(role)[0]
            status = open(f"/proc/{pid}/status").read()
            assert "Uid:\t65534\t65534\t65534" in status, (role, status)
            assert "NoNewPrivs:\t1" in status, role


def test_idle_costs_little():
    """all roles together idle cost little memory"""
    with world(zones=ONE) as w:
        total = 0
        for role in ("smtpd", "auth", "queue", "delivery", "keyd"):
            for pid in w.postern.role_pids(role):
                for line in open(f"/proc/{pid}/smaps_rollup"):
                    if line.startswith("Pss:"):
                        total += int(line.split()[1])
        print(f"# PSS {total} kB")
        assert total < 100 * 1024


def test_unprivileged():
    """an ordinary user runs it with high ports"""
    if os.getuid() != 0:
        return
    with world(zones=ONE, receivers={"127.0.0.2": {}}, start=False) as w:
        subprocess.run(["chown", "-R", "nobody", w.postern.dir], check=True)
        open(w.postern.log_path, "a").close()
        os.chmod(w.postern.log_path, 0o666)
        os.chmod(w.postern.dir, 0o755)
        w.postern.process = subprocess.Popen(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs", "--bounding-set=-all", BIN, "run", "-c",
                                              w.postern.conf], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=open(w.postern.log_path, "ab"),
                                             env=w.postern.env, start_new_session=True)
        w.postern.wait_event("ready")
        w.postern.send(SENDER, ["b@a.example"], letter())
        w.receivers["127.0.0.2"].wait(1)


def test_pidfile():
    """--pidfile is written if asked for"""
    with world(zones=ONE, start=False) as w:
        path = w.postern.dir + "/pid"
        process = subprocess.Popen([BIN, "run", "-c", w.postern.conf, "--pidfile", path], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=open(w.postern.log_path, "ab"), env=clean_environment(), start_new_session=True)
        w.postern.process = process
        w.postern.wait_event("ready")
        assert int(open(path).read()) == process.pid


