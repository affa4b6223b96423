# SPDX-License-Identifier: ISC
"""A small internet on loopback: a DNS server, a postern with keys for sender.example, and receivers."""

import re
import uuid
from contextlib import contextmanager

from house import Nsd, Postern, free_port
from receiver import Receiver

SENDER = "app@sender.example"


def mx_zone(hosts):
    """Zone lines: hosts is [(preference, name, address or None)]."""
    lines = []
    for preference, name, address in hosts:
        lines.append(f"@ 60 IN MX {preference} {name}")
        if address:
            lines.append(f"{name} 60 IN {'AAAA' if ':' in address else 'A'} {address}")
    return "\n".join(lines)


LOGINS = "pwcheck saslauthd /nowhere\n"  # somebody could log in: the role auth has something to do


class World:
    """
    zones: more zones beside sender.example. receivers: {"127.0.0.2": dict of Receiver's arguments}.
    config: more lines; "{port}" stands for the port that postern delivers to. `retry`, if config has none: on a machine
    that has stood still a name server may have been asked in vain, and five minutes are too long for a test.
    """

    def __init__(self, zones=None, receivers=None, config="", dkim=True, live=True, start=True, retry="20s"):
        self.port = free_port()
        self.zones = {"sender.example": "@ 60 IN MX 10 mx\nmx 60 IN A 127.0.0.9"}
        self.zones.update(zones or {})
        self.postern = self.nsd = None
        self.receivers = {}
        try:
            for host, arguments in (receivers or {}).items():
                self.receivers[host] = Receiver(host, self.port, **arguments)
            self.nsd = Nsd(self.zones)
            self.config = (("hostname mail.sender.example\ndomains sender.example *.sender.example\n" if live else "")
                           + f"resolver 127.0.0.1@{self.nsd.port}\ndnssec off\n"
                           + f"outbound {{ port {self.port}  private-mx allow  ipv6 off }}\n" + (f"retry {retry}\n" if retry and "retry" not in config else "")
                           + config.replace("{port}", str(self.port)) + "\n")
            self.postern = Postern(self.config)
            if dkim:
                self.publish_key("sender.example")
            if start:
                self.postern.start()
        except BaseException:
            self.close()
            raise

    def publish_key(self, domain, selector="s1"):
        """`postern dkim new`, and its zone lines pasted into the zone."""
        out = self.postern.run("dkim", "new", domain, "--selector", selector, check=0).stdout
        lines = zone_lines(out)
        assert lines, out
        self.nsd.change({domain: self.zones[domain] + "\n" + lines})
        return out

    def close(self):
        for part in [self.postern, self.nsd, *self.receivers.values()]:
            if part is not None:
                part.close()


def zone_lines(text):
    """The records in zone-file form out of what a command printed."""
    found, record = [], None
    for line in text.splitlines():
        if record is not None:
            record.append(line)
            if ")" in line:
                found.append("\n".join(record))
                record = None
        elif re.search(r"\sIN\s+TXT\s+\(", line) and ")" not in line:
            record = [line.strip()]
        elif re.search(r"\sIN\s+TXT\s", line):
            found.append(line.strip())
    return "\n".join(found)


@contextmanager
def world(**arguments):
    w = World(**arguments)
    try:
        yield w
    finally:
        w.close()


def letter(to="b@a.example", sender=SENDER, subject=None, body="Hello,\r\n\r\nthis is a letter.\r\n", extra=""):
    """A complete message; its subject is unique unless given."""
    subject = subject or "letter " + uuid.uuid4().hex
    return (f"From: App <{sender}>\r\nTo: <{to}>\r\nSubject: {subject}\r\nDate: Mon, 23 Nov 2026 10:07:11 +0000\r\n"
            f"Message-ID: <{uuid.uuid4().hex}@sender.example>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
            f"{extra}\r\n{body}").encode()


def assert_unchanged(sent, got):
    """What arrived is what was sent, with fields added on top and nothing else."""
    assert got.endswith(sent), f"changed on its way:\n{got!r}\nwas\n{sent!r}"
    for line in re.split(rb"\r\n(?![ \t])", got[:len(got) - len(sent)].rstrip(b"\r\n")):
        name = line.split(b":", 1)[0].lower()
        assert name in (b"received", b"dkim-signature"), f"added: {line!r}"
