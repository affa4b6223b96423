# SPDX-License-Identifier: ISC
"""The doctor and other servers: those that take our mail, networks of our own, signed zones, and what a disk does."""

import json
import os
import re
import socket
import subprocess
import tempfile
import threading
import time
from email.utils import formatdate

from house import BIN, PATIENCE_S, Nsd, Postern, Skip, certificate, free_port, until
from island import SENDER, SENDER6, WORLD, WORLD6, Island
from minigmail import MiniGmail
from test_doctor import DEAD_S, GOOD, HOME, QUICK_S, SOURCE, Clinic, swap
from world import SENDER as AUTHOR
from world import letter, mx_zone, zone_lines


class Parrot:
    """Answers each command with the first of `lines` whose key it begins with; "" is the greeting, None is silence."""

    def __init__(self, host, port):
        self.lines, self.heard = {}, []
        self.socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind((host, port))
        self.socket.listen(50)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def reply(self, line):
        usual = {"": "220 parrot ESMTP", "QUIT": "221 bye"}
        for lines in (self.lines, usual):
            for begin, said in lines.items():
                if line == begin or (begin and line.startswith(begin)):
                    return said
        return "250 ok"

    def serve(self, connection):
        with connection, connection.makefile("rb") as lines:
            line = ""
            while True:
                said = self.reply(line)
                if said is None:
                    time.sleep(10)
                    return
                try:
                    connection.sendall(said.encode() + b"\r\n")
                    if said.startswith("221") or said == "drop":
                        return
                    line = lines.readline().decode("latin-1").rstrip("\r\n")
                except OSError:
                    return
                if not line:
                    return
                self.heard.append(line)

    def close(self):
        self.socket.close()


def now(seconds=0):
    return f"220 parrot ESMTP ready at {formatdate(time.time() + seconds)} [x]"


# who says what ("mx" is the domain's own, "peer" a large receiver), the check, and how it must judge
SAYINGS = [
    ("all is well", "mx", {}, {"bounce.rcpt": "pass", "contact": "pass", "net.port25": "pass", "relay.open": "pass", "src.public": "pass"}),
    ("abuse is refused", "mx", {"RCPT TO:<abuse@": "550 5.1.1 nobody"}, {"contact": "warn", "bounce.rcpt": "pass"}),
    ("postmaster is refused", "mx", {"RCPT TO:<postmaster@": "550 5.1.1 nobody"}, {"contact": "warn"}),
    ("a sender is refused", "mx", {"RCPT TO:<app@": "550 5.1.1 nobody"}, {"bounce.rcpt": "fail", "contact": "pass"}),
    ("no null sender", "mx", {"MAIL": "550 5.7.1 no"}, {"bounce.rcpt": "fail", "contact": "skip"}),
    ("greylisting", "mx", {"RCPT": "450 4.2.0 later"}, {"bounce.rcpt": "skip", "contact": "skip"}),
    ("silence", "mx", {"": None}, {"bounce.rcpt": "skip", "contact": "skip"}),
    ("silence later", "mx", {"RCPT": None}, {"bounce.rcpt": "skip", "contact": "skip"}),
    ("a connection that drops", "mx", {"EHLO": "drop"}, {"bounce.rcpt": "skip", "contact": "skip"}),
    ("no SMTP", "mx", {"": "HTTP/1.1 400 Bad Request"}, {"bounce.rcpt": "skip", "contact": "skip"}),
    ("a line without end", "mx", {"": "220 " + "x" * 100000}, {"bounce.rcpt": "skip", "contact": "skip"}),
    ("lines without end", "mx", {"": "220-x\r\n" * 20000 + "220 x", "RCPT TO:<abuse@": "550 5.1.1 " + "\r\n550-".join("x" * 50)},
     {"bounce.rcpt": "skip", "contact": "skip"}),
    ("escape sequences", "mx", {"RCPT TO:<abuse@": "550 5.1.1 \033[2J\007 no"}, {"contact": "warn"}),
    ("we are not wanted", "mx", {"": "554 5.7.1 go away"}, {"bounce.rcpt": "skip", "contact": "skip"}),
    ("the right time", "peer", {"": now}, {"clock": "pass"}),
    ("two minutes", "peer", {"": lambda: now(120)}, {"clock": "warn"}),
    ("an hour ago", "peer", {"": lambda: now(-3600)}, {"clock": "fail"}),
    ("no time", "peer", {"": "220 parrot ESMTP Mon, 99 Nov"}, {"net.port25": "pass"}),
    ("a peer that is not there", "peer", {"": None}, {"net.port25": "pass", "src.public": "pass"}),
]


class Talks(Clinic):
    """A clinic whose domain has an MX, and gmail.com a server, both of ours."""

    def __init__(self, config=""):
        self.port = free_port()
        self.mx, self.peer = Parrot("127.0.0.3", self.port), Parrot("127.0.0.2", self.port)
        super().__init__(f"outbound {{ port {self.port}  private-mx allow  ipv6 off }}\n{config}")
        self.good["gmail.com"] = mx_zone([(5, "mx", "127.0.0.2")])
        self.good[HOME] = swap("mx 60 IN A 192.0.2.20", "mx 60 IN A 127.0.0.3")(self.good[HOME])

    def close(self):
        super().close()
        self.mx.close()
        self.peer.close()

    def run(self, *args, sources=(SOURCE,)):
        return self.postern.run("doctor", *[a for s in sources for a in ("--source", s)], *args)


def test_conversations():
    """what the domain's MX and a large receiver say, each judged by its check, all within 5 s; nothing is sent"""
    c = Talks("trust 10.9.9.0/24 { from app@sender.example }")
    try:
        c.zones({})
        wrong = []
        for name, who, lines, want in SAYINGS:
            c.mx.lines, c.peer.lines = {}, {}
            (c.mx if who == "mx" else c.peer).lines = {k: v() if callable(v) else v for k, v in lines.items()}
            found = c.look(limit_s=DEAD_S if "silence" in name or "not there" in name else QUICK_S)
            if not c.in_time():
                wrong.append((name, c.seconds))
            for id, status in want.items():
                if found[id] != [status]:
                    wrong.append((name, id, found[id], [k["why"] for k in c.find(id)]))
        assert not wrong, "\n".join(map(str, wrong))
        assert "\033" not in c.run().stdout
        assert not [line for line in c.mx.heard + c.peer.heard if line.startswith(("DATA", "BDAT"))]
        assert "RCPT" not in " ".join(c.peer.heard) and "MAIL FROM:<>" in c.mx.heard, c.peer.heard
        quick = json.loads(c.run("--quick", "--json").stdout)["checks"]
        assert {k["status"] for k in quick if k["id"] in ("bounce.rcpt", "contact", "net.port25")} == {"skip"}
    finally:
        c.close()


def test_behind_nat():
    """a private address: the one that a peer sees is found and examined; --quick, or nobody who tells, only warns"""
    c = Talks()
    try:
        c.postern.configure(c.base + f"outbound {{ port {c.port}  private-mx allow  ipv6 off  bind 10.9.8.7 }}\n")
        c.zones({"2.0.192.in-addr.arpa": ""})
        c.peer.lines = {"EHLO": f"250-parrot at your service, [{SOURCE}]\r\n250 SIZE 1000"}
        found = c.look(sources=())
        assert found["src.public"] == ["pass"] and found["ptr.exists"] == ["fail"], (found, c.find("ptr.exists"))
        assert c.find("ptr.exists")[0]["subject"]["source"] == SOURCE
        found = c.look(sources=("10.9.8.7",))
        assert found["src.public"] == ["warn"] and SOURCE in c.find("src.public")[0]["why"], c.find("src.public")
        for said in ("250 parrot [10.1.1.1]", "250 parrot [nonsense", "250 parrot"):
            c.peer.lines = {"EHLO": said}
            found = c.look(sources=())
            assert found["src.public"] == ["warn"] and found["ptr.exists"] == ["skip"], (said, found)
        found = c.look("--quick", sources=())
        assert found["src.public"] == ["warn"], found
    finally:
        c.close()


# ---- a network of our own ----

def reverse6(address):
    nibbles = socket.inet_pton(socket.AF_INET6, address).hex()
    return ".".join(reversed(nibbles))


REVERSE4, REVERSE6 = "2.0.192.in-addr.arpa", "8.b.d.0.1.0.0.2.ip6.arpa"


class Shore:
    """
    nsd, a large receiver (also gmail.com of the port 25 test) and the sender's MX out in the world, over IPv4 and IPv6; a postern
    at the sender's, which asks and sends over the cable.
    """

    def __init__(self, config="", **arguments):
        self.parts = []
        self.island = Island(**arguments)
        self.parts.append(self.island)
        mail = mx_zone([(10, "mx", WORLD), (10, "mx", WORLD6)]).replace("@ 60 IN MX 10 mx\n", "", 1)
        self.base = {HOME: mail, "gmail.com": mail, "receiver.example": mail, "example": "", REVERSE4: "", REVERSE6: ""}
        try:
            with self.island.world:
                self.nsd = Nsd(self.base, addresses=(WORLD, "127.0.0.1"), port=53)
                self.parts.append(self.nsd)
                self.gmail = {4: MiniGmail(WORLD, 25, self.nsd, None), 6: MiniGmail(WORLD6, 25, self.nsd, None)}
                self.parts += self.gmail.values()
            self.postern = Postern(f"resolver {WORLD}\ndnssec off\n" + config)
            self.parts.append(self.postern)
        except BaseException:
            self.close()
            raise

    def close(self):
        for part in reversed(self.parts):
            part.close()

    def start(self):
        with self.island.sender:
            self.postern.start()

    def run(self, *args, **more):
        with self.island.sender:
            return self.postern.run(*args, **more)

    def publish(self, lines):
        """Zone lines with whole names, put into the zones they belong to."""
        zones = dict(self.base)
        for line in lines.splitlines():
            name = line.split(" ")[0].rstrip(".")
            zone = next((z for z in (HOME, REVERSE4, REVERSE6) if name == z or name.endswith("." + z)), None)
            if zone:
                zones[zone] += "\n" + line
        with self.island.world:
            self.nsd.change(zones)

    def doctor(self, *args):
        r = self.run("doctor", "--json", *args)
        assert r.returncode in (0, 1, 2), r.stderr
        return json.loads(r.stdout)["checks"]

    def failing(self, *args):
        return {k["id"] for k in self.doctor(*args) if k["status"] == "fail"}

    def verdict(self, family, message=None):
        """What the large receiver says to one letter that came over this family."""
        g, other = self.gmail[family], self.gmail[10 - family]
        count, before = len(g.verdicts), len(other.verdicts)
        with self.island.sender:
            self.postern.send(AUTHOR, ["b@receiver.example"], message or letter("b@receiver.example"))
        until(lambda: len(g.verdicts) > count or len(other.verdicts) > before, what="verdict")
        return (g.verdicts[count:] or other.verdicts[before:])[-1]


def paste(text):
    return "\n".join(re.findall(r"^\S+\. 3600 IN .*$", text, re.MULTILINE))


def drop(pattern):
    return lambda lines: "\n".join(line for line in lines.splitlines() if not re.search(pattern, line))


# what is changed in the zones, which check must tell, and what the receiver says then
WRONG = [
    ("no reverse name", drop(r"^10\.2\.0\.192.* PTR "), "ptr.exists", "5.7.25"),
    ("a reverse name that leads nowhere", lambda z: re.sub(r"(^10\.2\.0\.192.* PTR )mail", r"\1gone", z, flags=re.M), "ptr.fcrdns", "5.7.25"),
    ("no SPF", drop(r"^sender\.example\..*v=spf1"), "spf.record", "5.7.27"),
    ("SPF of others", lambda z: z.replace("ip4:192.0.2.10", "ip4:192.0.2.11"), "spf.auth", "5.7.27"),
    ("no keys", drop(r"_domainkey"), "dkim.record", "5.7.30"),
    ("no DMARC", drop(r"^_dmarc"), "dmarc.record", "5.7.515"),
]


def test_real_addresses():
    """setup without being told an address, in a network with 192.0.2.0/24 and 2001:db8::/32: both are found, published and accepted; each fault is told first"""
    s = Shore()
    try:
        s.start()
        first = s.run("setup", HOME, "--yes", "--no-wait", "--hostname", "mail.sender.example", check=1).stdout
        lines = paste(first)
        for wanted in (r"^10\.2\.0\.192\.in-addr\.arpa\. .* PTR mail\.", rf"^{reverse6(SENDER6)}\.ip6\.arpa\. .* PTR mail\.", f"ip4:{SENDER}", f"ip6:{SENDER6}",
                       rf"^mail\.sender\.example\. .* A {SENDER}$", rf"^mail\.sender\.example\. .* AAAA {SENDER6}$"):
            assert re.search(wanted, lines, re.M), (wanted, first)
        s.publish(lines)
        s.run("setup", HOME, "--yes", "--no-wait", check=0)
        checks = s.doctor()
        assert not [k for k in checks if k["status"] == "fail"], [(k["id"], k["why"]) for k in checks if k["status"] == "fail"]
        for id in ("src.public", "ptr.exists", "ptr.fcrdns", "ehlo.resolves", "ehlo.match", "spf.auth", "spf.helo"):
            assert [(k["subject"]["source"], k["status"]) for k in checks if k["id"] == id] == [(SENDER, "pass"), (SENDER6, "pass")], (id, checks)
        for id in ("net.ipv6", "net.port25", "bounce.rcpt", "contact", "relay.open"):
            assert {k["status"] for k in checks if k["id"] == id} == {"pass"}, [k for k in checks if k["id"] == id]
        s.run("queue", "release", "--all")
        assert s.verdict(4) == "250"
        wrong = []
        with open(s.postern.conf) as f:
            text = f.read()
        s.postern.stop()
        with open(s.postern.conf, "w") as f:
            f.write(text + "outbound { ipv6 off }\n")
        s.start()
        for name, change, id, code in WRONG:
            s.publish(change(lines))
            told, said = s.failing(), s.verdict(4)
            if id not in told or code not in said:
                wrong.append((name, told, said))
        assert not wrong, "\n".join(map(str, wrong))
    finally:
        s.close()


def test_ipv6_faults():
    """over IPv6 the same: no reverse name, or SPF that knows only IPv4, is told by net.ipv6 before it is refused"""
    s = Shore("outbound { ipv6 on }\n")
    try:
        lines = paste(s.run("setup", HOME, "--yes", "--no-wait", "--hostname", "mail.sender.example", check=1).stdout)
        s.publish(lines)
        s.run("setup", HOME, "--yes", "--no-wait", check=0)
        # the receiver has no IPv4 here
        s.base["receiver.example"] = mx_zone([(10, "mx", WORLD6)])
        s.publish(lines)
        s.start()
        assert s.failing() == set() and s.verdict(6) == "250"
        wrong = []
        for name, change, code in (("reverse name", drop(r"ip6\.arpa"), "5.7.25"), ("SPF", lambda z: re.sub(r" ip6:\S+", "", z), "5.7.27")):
            s.publish(change(lines))
            told, said = s.failing(), s.verdict(6)
            if "net.ipv6" not in told or code not in said:
                wrong.append((name, told, said))
        assert not wrong, "\n".join(map(str, wrong))
    finally:
        s.close()


def test_alignment_and_message_id():
    """adkim=s with the parent's key, and a host without a full name, are told before mini-Gmail refuses what comes of them"""
    s = Shore("outbound { ipv6 off }\n")
    try:
        lines = paste(s.run("setup", HOME, "--yes", "--no-wait", "--hostname", "mail.sender.example", check=1).stdout)
        sub = (f'news.sender.example. 3600 IN TXT "v=spf1 ip4:{SENDER} -all"\nnews.sender.example. 3600 IN MX 10 mx.sender.example.\n'
               '_dmarc.news.sender.example. 3600 IN TXT "v=DMARC1; p=reject; adkim=%s; rua=mailto:d@sender.example"')
        s.publish(lines + "\n" + sub % "r")
        s.run("setup", HOME, "--yes", "--no-wait", check=0)
        with open(s.postern.conf) as f:
            text = f.read()
        with open(s.postern.conf, "w") as f:
            f.write(text.replace("domains sender.example", "domains sender.example news.sender.example"))
        s.start()
        author = "app@news.sender.example"

        def send():
            count = len(s.gmail[4].verdicts)
            with s.island.sender:
                s.postern.send(author, ["b@receiver.example"], letter("b@receiver.example", sender=author))
            return until(lambda: s.gmail[4].verdicts[count:], what="verdict")[0]
        of_sub = ("--domain", "news.sender.example")
        assert "dmarc.align" not in s.failing(*of_sub) and send() == "250"
        s.publish(lines + "\n" + sub % "s")
        told = {k["id"]: k["status"] for k in s.doctor(*of_sub)}
        assert told["dmarc.align"] == "warn" and "5.7.26" in send(), told
        # Message-IDs: a missing one is made; a bad one is named by lint, and in the log, before it is refused
        for line, code in (("", "250"), ("Message-ID: <nonsense>\r\n", "5.7.1"), ("Message-ID: none\r\n", "5.7.1")):
            count = len(s.gmail[4].verdicts)
            message = f"From: <{AUTHOR}>\r\nTo: <b@receiver.example>\r\nSubject: x\r\n{line}\r\nhi\r\n"
            with s.island.sender:
                s.postern.send(AUTHOR, ["b@receiver.example"], message.encode())
            assert code in until(lambda: s.gmail[4].verdicts[count:], what="verdict")[0], line
            assert ("msgid-syntax" in s.run("lint", "-", stdin=message).stdout) == (code != "250"), line
        s.postern.stop()
        # a host without a full name would make bad ones: it is told, and nothing starts
        with open(s.postern.conf, "w") as f:
            f.write(text.replace("hostname mail.sender.example", ""))
        for command in ("doctor", "run"):
            r = subprocess.run(["ip", "netns", "exec", s.island.sender.name, "unshare", "--uts", "sh", "-c",
                                f"hostname relay && exec {BIN} {command} -c {s.postern.conf}"], capture_output=True, text=True, env=s.postern.env, timeout=PATIENCE_S)
            assert r.returncode == (3 if command == "doctor" else 78) and 'calls itself "relay"' in r.stderr, r
    finally:
        s.close()


def test_strangers_from_outside():
    """the daemon's public listeners, knocked at by the doctor and by a stranger of another host: nobody gets through but who is trusted"""
    s = Shore(gateway=WORLD)
    try:
        cert, key = certificate(s.postern.dir, "mail.sender.example")
        open(f"{s.postern.dir}/users", "w").close()
        os.chmod(f"{s.postern.dir}/users", 0o600)
        public = (f"hostname mail.sender.example\ndomains sender.example\nresolver {WORLD}\ndnssec off\ntls {cert} {key}\nusers {s.postern.dir}/users\n"
                  f"listen {SENDER}:25 starttls auth\nlisten {SENDER}:587 starttls auth auth-required\n")
        s.postern.configure(public)
        s.start()

        def knock():
            with s.island.world, socket.create_connection((SENDER, 25), PATIENCE_S) as c:
                lines = c.makefile("rb")
                said = [lines.readline()]
                for line in ("HELO stranger", f"MAIL FROM:<{AUTHOR}>", "RCPT TO:<b@receiver.example>"):
                    c.sendall(line.encode() + b"\r\n")
                    said.append(lines.readline())
                return said[-1][:3].decode()

        def found():
            return {k["id"]: k for k in s.doctor("--source", SENDER)}
        checks = found()
        assert checks["relay.open"]["status"] == "pass" and "and 2 over the network" in checks["relay.open"]["why"], checks["relay.open"]
        assert checks["relay.nets"]["status"] == "pass" and knock() == "550"
        # the gateway hides strangers: whoever comes through it is trusted
        s.postern.configure(public + f"trust {WORLD}\n")
        s.postern.run("reload", check=0)
        until(lambda: knock() == "250", what="trust")
        checks = found()
        assert checks["relay.nets"]["status"] == "warn" and WORLD in checks["relay.nets"]["why"], checks["relay.nets"]
        assert checks["relay.open"]["status"] == "pass", checks["relay.open"]
        # what the daemon does counts, whatever the file says by now
        s.postern.configure(public + f"trust {SENDER}\n")
        s.postern.run("reload", check=0)
        s.postern.configure(public)
        checks = found()
        assert checks["relay.open"]["status"] == "fail" and "over the network" in checks["relay.open"]["why"], checks["relay.open"]
    finally:
        s.close()


# ---- signed zones, and disks ----

def alone(commands, postern, *args):
    """The doctor in a file system of its own, after these shell commands."""
    if os.getuid() != 0:
        raise Skip("mounts need root")
    r = subprocess.run(["unshare", "--mount", "sh", "-ec", f"{commands}\nexec {BIN} doctor -c {postern.conf} --json --source {SOURCE} {' '.join(args)}"],
                       capture_output=True, text=True, env=postern.env, timeout=PATIENCE_S)
    if "unshare" in r.stderr or "mount:" in r.stderr:
        raise Skip(f"this machine lets nobody mount: {r.stderr.strip()}")
    assert r.stdout, r.stderr
    return {k["id"]: k for k in json.loads(r.stdout)["checks"]}


def test_signed_zone():
    """a zone signed with a key that is trusted here: validated, DANE counts; spoiled or expired signatures make it unknown, never right"""
    tlsa = "_25._tcp.mx 60 IN TLSA 3 1 1 " + "ab" * 32
    nsd = Nsd(GOOD, signed=[HOME])
    p = Postern(f"hostname mail.sender.example\ndomains sender.example\nresolver 127.0.0.1@{nsd.port}\ndnssec on\noutbound {{ ipv6 off }}\n")
    try:
        home = GOOD[HOME] + tlsa + '\n_smtp._tls 60 IN TXT "v=TLSRPTv1; rua=mailto:t@sender.example"\n'
        home += zone_lines(p.run("dkim", "new", "sender.example", "--selector", "s1", check=0).stdout)
        with open(f"{p.dir}/anchor", "w") as f:
            f.write(nsd.anchor(HOME))

        def look(tamper=None, options=()):
            nsd.tamper = {HOME: tamper} if tamper else {}
            nsd.sign_options = options
            nsd.change({HOME: home})
            return alone(f"mount --bind {p.dir}/anchor /usr/share/dns/root.key", p, "--quick")
        well = look()
        for id in ("dns.resolver", "tls.policy", "spf.auth", "dkim.match", "ehlo.resolves", "dmarc.record"):
            assert well[id]["status"] == "pass", (id, well[id])
        assert "DANE" in well["tls.policy"]["why"]
        spoiled = look(lambda text: text.replace("mail.sender.example.\t60\tIN\tA\t192.0.2.10", "mail.sender.example.\t60\tIN\tA\t192.0.2.66"))
        assert spoiled["ehlo.resolves"]["status"] == "skip" and spoiled["spf.auth"]["status"] == "pass", (spoiled["ehlo.resolves"], spoiled["spf.auth"])
        expired = look(options=("-i", "20200101000000", "-e", "20200201000000"))
        for id in ("spf.record", "dkim.record", "dmarc.record", "ehlo.resolves", "bounce.mx"):
            assert expired[id]["status"] == "skip" and expired[id]["why"], (id, expired[id])
        p.configure(open(p.conf).read().split("\n", 5)[5].replace("dnssec on", "dnssec off"))
        assert look()["dns.resolver"]["status"] == "note" and look()["tls.policy"]["status"] == "note"
    finally:
        p.close()
        nsd.close()


# how the spool is mounted and filled, the check, and how it must judge
DISKS = [
    ("mount -t tmpfs -o size=800m,nr_inodes=1000 none {spool}", "fs", "pass"),
    ("mount -t tmpfs -o size=32m none {spool}", "fs", "fail"),
    ("mount -t tmpfs -o size=900m none {spool}; fallocate -l 830m {spool}/full", "fs", "warn"),
    ("mount -t tmpfs -o size=800m,nr_inodes=100 none {spool}; (cd {spool}; seq 95 | xargs touch)", "fs", "warn"),
    ("mount -t tmpfs none {spool}", "queue", "pass"),
    ("mount -t tmpfs -o ro none {spool}", "queue", "fail"),
]


def test_disks():
    """full, nearly full, out of inodes, read-only"""
    p = Postern("hostname mail.sender.example\ndomains sender.example\n")
    try:
        os.mkdir(f"{p.dir}/spool")
        for commands, id, status in DISKS:
            told = alone(commands.replace("{spool}", f"{p.dir}/spool"), p, "--offline")[id]
            assert told["status"] == status and (status != "fail" or told["fix"]["text"]), (commands, told)
    finally:
        p.close()
