# SPDX-License-Identifier: ISC
"""A receiving SMTP server whose every answer a test can choose."""

import select
import socket
import ssl
import threading
import time

from zones import PATIENCE_S


class Message:
    def __init__(self, sender, rcpts, data, session):
        self.sender, self.rcpts, self.data = sender, rcpts, data
        self.tls, self.helo, self.params, self.peer = session.tls, session.helo, session.params, session.peer
        self.time = time.time()


class Receiver:
    """
    rcpt(address, session), data(message), mail(sender, session) and greet() return a reply line or None for the usual one.
    The reply "hang" never answers; "drop" closes. `features` are the EHLO lines.
    after(message, how) says what the client did once the reply to the dot was said, or while it was being made up:
    "early" came before the reply was said, "next" is a command after it, "closed" an end without one, "reset" an end
    that left the reply unread.
    """

    def __init__(self, host, port, features=("PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE 60000000", "ENHANCEDSTATUSCODES", "DSN"),
                 tls=None, greet=None, mail=None, rcpt=None, data=None, auth=None, after=None):
        self.host, self.port, self.features = host, port, list(features)
        self.tls, self.greet, self.mail, self.rcpt, self.data, self.auth, self.after = tls, greet, mail, rcpt, data, auth, after
        self.messages, self.connections, self.commands = [], 0, []
        self.lock = threading.Lock()
        self.arrived = threading.Condition(self.lock)
        self.socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind((host, port))
        self.socket.listen(200)
        self.running = True
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while self.running:
            try:
                connection, peer = self.socket.accept()
            except OSError:
                return
            with self.lock:
                self.connections += 1
            threading.Thread(target=Session(self, connection, peer).serve, daemon=True).start()

    def close(self):
        self.running = False
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()

    def wait(self, count, seconds=PATIENCE_S):
        """Wait until `count` messages have come in all; the list of them."""
        end = time.monotonic() + seconds
        with self.arrived:
            while len(self.messages) < count:
                left = end - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"{self.host}:{self.port}: {len(self.messages)} of {count} messages arrived in {seconds} s")
                self.arrived.wait(left)
            return list(self.messages)


class Session:
    def __init__(self, receiver, connection, peer):
        self.receiver, self.connection, self.peer = receiver, connection, peer
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(2 * PATIENCE_S)
        self.file = connection.makefile("rb")
        self.tls, self.helo, self.sender, self.rcpts, self.params = None, "", None, [], ""
        self.answered = None  # the message whose reply nobody has reacted to yet

    def say(self, line):
        if line == "hang":
            time.sleep(600)
        if line == "drop":
            raise ConnectionError
        if isinstance(line, str):
            line = line.encode() + b"\r\n"
        self.connection.sendall(line)

    def serve(self):
        how = "closed"
        try:
            self.talk()
        except ConnectionError:
            how = "reset"
        except (OSError, ValueError, ssl.SSLError):
            pass
        finally:
            self.reaction(how)
            self.connection.close()

    def reaction(self, how):
        message, self.answered = self.answered, None
        if message and self.receiver.after:
            self.receiver.after(message, how)

    def talk(self):
        r = self.receiver
        self.say((r.greet and r.greet()) or "220 receiver.example ESMTP")
        while True:
            line = self.file.readline()
            if not line:
                return
            self.reaction("next")
            text = line.rstrip(b"\r\n").decode("utf-8", "replace")
            r.commands.append(text)
            verb = text.split(" ", 1)[0].upper()
            if verb in ("EHLO", "HELO"):
                self.helo = text[5:]
                lines = ["receiver.example"] + r.features + (["STARTTLS"] if r.tls and not self.tls else []) \
                    + (["AUTH PLAIN LOGIN"] if r.auth else [])
                self.say("".join(f"250{'-' if i < len(lines) - 1 else ' '}{l}\r\n" for i, l in enumerate(lines)).encode())
            elif verb == "STARTTLS":
                self.say("220 2.0.0 go ahead")
                self.connection = r.tls.wrap_socket(self.connection, server_side=True)
                self.file = self.connection.makefile("rb")
                self.tls = self.connection.version()
            elif verb == "AUTH":
                self.say("235 2.7.0 ok" if r.auth(text, self) else "535 5.7.8 no")
            elif verb == "MAIL":
                self.sender, self.rcpts, self.params = text[text.index("<") + 1:text.index(">")], [], text[text.index(">") + 1:]
                reply = (r.mail and r.mail(self.sender, self)) or "250 2.1.0 ok"
                if not reply.startswith("2"):
                    self.sender = None
                self.say(reply)
            elif verb == "RCPT":
                address = text[text.index("<") + 1:text.index(">")]
                reply = (r.rcpt and r.rcpt(address, self)) or "250 2.1.5 ok"
                if self.sender is None:
                    reply = "503 5.5.1 MAIL first"
                if reply.startswith("2"):
                    self.rcpts.append(address)
                self.say(reply)
            elif verb == "DATA":
                self.take_data()
            elif verb == "QUIT":
                self.say("221 2.0.0 bye")
                return
            elif verb in ("RSET", "NOOP"):
                self.say("250 2.0.0 ok")
            else:
                self.say("502 5.5.1 unknown")

    def take_data(self):
        r = self.receiver
        if not self.rcpts:
            self.say("503 5.5.1 no valid recipients")
            return
        self.say("354 go")
        lines = []
        while True:
            line = self.file.readline()
            if not line:
                return
            if line == b".\r\n":
                break
            lines.append(line[1:] if line.startswith(b".") else line)
        message = Message(self.sender, list(self.rcpts), b"".join(lines), self)
        self.answered = message
        reply = (r.data and r.data(message)) or "250 2.0.0 queued"
        if reply.startswith("2"):
            with r.arrived:
                r.messages.append(message)
                r.arrived.notify_all()
        if r.after and select.select([self.connection], [], [], 0)[0]:
            self.reaction("early")
        self.say(reply)
