# SPDX-License-Identifier: ISC
"""SMTP clients that remember what was promised to them."""

import random
import re
import socket
import threading
import time

from zones import PATIENCE_S

SENDER = "app@sender.example"
QUEUED = re.compile(r"queued as (\w+)")


class Refused(Exception):
    """A reply that is not the one hoped for."""

    def __init__(self, line):
        super().__init__(line)
        self.line, self.code = line, line[:3]


class Client:
    """One connection, pipelined."""

    def __init__(self, port, timeout=PATIENCE_S):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")
        try:
            self.expect("220")
            self.socket.sendall(b"EHLO client.example\r\n")
            self.expect("250")
        except BaseException:
            self.close()
            raise

    def reply(self):
        while True:
            line = self.file.readline().decode("utf-8", "replace")
            if not line:
                raise ConnectionError("closed")
            if line[3:4] != "-":
                return line.strip()

    def expect(self, code):
        line = self.reply()
        if not line.startswith(code):
            raise Refused(line)
        return line

    def start(self, rcpts, sender=SENDER):
        """Up to the 354."""
        commands = [f"MAIL FROM:<{sender}>", *(f"RCPT TO:<{r}>" for r in rcpts), "DATA"]
        self.socket.sendall("".join(c + "\r\n" for c in commands).encode())
        lines = [self.reply() for _ in commands]
        for line in lines[:-1]:
            if not line.startswith("250"):
                if lines[-1].startswith("354"):
                    raise ConnectionError("354 behind a refusal")
                raise Refused(line)
        if not lines[-1].startswith("354"):
            raise Refused(lines[-1])

    def send(self, rcpts, message, before_dot=None):
        """The whole transaction; the id from the 250."""
        self.start(rcpts)
        self.socket.sendall(message)
        if before_dot:
            before_dot()
        self.socket.sendall(b".\r\n")
        return QUEUED.search(self.expect("250")).group(1)

    def close(self):
        self.file.close()
        self.socket.close()


class Sent:
    """One message. `ended` (all but its dot is sent), `promised` and `delivered` are what `clock` said then, or None."""

    def __init__(self, subject, rcpt, message):
        self.subject, self.rcpt, self.message = subject, rcpt, message
        self.id = self.ended = self.promised = self.delivered = None
        self.times = 0  # it arrived at the receiver


def letter(subject, rcpt, size, rng):
    head = (f"From: App <{SENDER}>\r\nTo: <{rcpt}>\r\nSubject: {subject}\r\nDate: Mon, 23 Nov 2026 10:07:11 +0000\r\n"
            f"Message-ID: <{subject}@sender.example>\r\n\r\n")
    line = f"{rng.getrandbits(280):070x}\r\n"
    lines = [f"{i:06d} {line}" for i in range(max(1, (size - len(head)) // (len(line) + 7)))]
    return (head + "".join(lines)).encode()


def subject_of(octets):
    return octets.split(b"\r\nSubject: ", 1)[1].split(b"\r\n", 1)[0].decode()


class Load:
    """
    Sessions that send numbered messages all the time. `clock` is asked at each promise;
    what was refused or cut off is never sent again, so a second copy is the server's.
    """

    def __init__(self, port, sessions, clock=time.monotonic, rcpts=("b@a.example",), sizes=None, seed=1, pause=0.0):
        self.port, self.clock, self.rcpts, self.sizes, self.pause = port, clock, rcpts, sizes or (lambda rng: 2000), pause
        self.running, self.sent, self.refused = True, {}, {}
        self.n_promised, self.bytes = 0, 0
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.run, args=(i, random.Random(seed * 1000 + i)), daemon=True) for i in range(sessions)]
        for t in self.threads:
            t.start()

    def run(self, number, rng):
        client, count = None, 0
        while self.running:
            count += 1
            rcpt = rng.choice(self.rcpts)
            subject = f"n{number}x{count}"
            m = Sent(subject, rcpt, letter(subject, rcpt, self.sizes(rng), rng))
            try:
                client = client or Client(self.port)
                self.sent[subject] = m
                m.id = client.send([rcpt], m.message, before_dot=lambda: setattr(m, "ended", self.clock()))
                with self.lock:
                    m.promised = self.clock()
                    self.n_promised += 1
                    self.bytes += len(m.message)
                if self.pause:
                    time.sleep(self.pause)
                continue
            except Refused as e:
                with self.lock:
                    self.refused[e.code] = self.refused.get(e.code, 0) + 1
            except (OSError, ValueError):
                pass
            if client:
                client.close()
                client = None
            time.sleep(0.02)
        if client:
            client.close()

    def stop(self):
        self.running = False
        for t in self.threads:
            t.join(PATIENCE_S)
        return [m for m in list(self.sent.values()) if m.promised is not None]
