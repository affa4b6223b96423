# SPDX-License-Identifier: ISC
"""nsd on a loopback port, serving the zones of one test; and a name server in front of it that is ill."""

import os
import random
import shutil
import socket
import subprocess
import tempfile
import threading
import time

SOA = "@ 60 IN SOA ns.{zone}. hostmaster.{zone}. 1 3600 600 86400 5\n@ 60 IN NS ns.{zone}.\nns 60 IN A {address}\n"


# How long one waits for what must come. It costs nothing when it comes, and a machine may be slow.
PATIENCE_S = 120


def until(condition, what="condition", seconds=PATIENCE_S):
    """Poll until `condition()` is true; its value."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {seconds} s")
        time.sleep(0.05)


RESERVE = "127.255.255.254"  # nobody serves here: whoever has a port of this address owns its number everywhere
reserved = []


def free_port():
    """
    A port that is free for TCP and UDP on loopback, outside the range the kernel takes for outgoing connections. It is ours
    as long as this process lives: tests run side by side, and who will listen there does so only later.
    """
    while True:
        port = random.randrange(20000, 32000)
        mine = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            mine.bind((RESERVE, port))
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
                tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                tcp.bind(("127.0.0.1", port))
                udp.bind(("127.0.0.1", port))
        except OSError:
            mine.close()
            continue
        reserved.append(mine)
        return port


class Nsd:
    """
    zones: {"a.example": "lines of the zone file"}; `change` changes them while it runs. `signed` zones get
    DNSSEC signatures (ldns-signzone with `sign_options`), and `tamper` (zone -> function of the text) then spoils them.
    """

    def __init__(self, zones, addresses=("127.0.0.1",), port=None, signed=()):
        self.dir = tempfile.mkdtemp(prefix="e2e-nsd-")
        os.chmod(self.dir, 0o755)
        self.addresses = addresses
        self.port = port or free_port()
        self.zones = dict(zones)
        self.keys = {zone: self.make_key(zone) for zone in signed}
        self.tamper, self.sign_options = {}, ()
        self.process = None
        self.start()

    def make_key(self, zone):
        made = subprocess.run(["ldns-keygen", "-k", "-a", "ECDSAP256SHA256", zone], cwd=self.dir, check=True, capture_output=True, text=True)
        return made.stdout.strip()

    def anchor(self, zone):
        """The trust anchor of a signed zone, as in a file of root keys."""
        return open(f"{self.dir}/{self.keys[zone]}.key").read()

    def sign(self, zone):
        path = f"{self.dir}/{zone}.zone"
        subprocess.run(["ldns-signzone", *self.sign_options, "-o", zone, "-f", path + ".signed", path, self.keys[zone]], cwd=self.dir, check=True, capture_output=True)
        text = open(path + ".signed").read()
        with open(path, "w") as f:
            f.write(self.tamper.get(zone, lambda t: t)(text))

    def write(self):
        with open(f"{self.dir}/nsd.conf", "w") as f:
            f.write("server:\n" + "".join(f"  ip-address: {a}@{self.port}\n" for a in self.addresses) + f'  zonesdir: "{self.dir}"\n'
                    f'  username: ""\n  pidfile: "{self.dir}/pid"\n  database: ""\n'
                    f'  zonelistfile: "{self.dir}/list"\n  xfrdfile: ""\n  logfile: "{self.dir}/log"\n'
                    f'  server-count: 1\n  hide-version: yes\n  xfrdir: "{self.dir}"\n'
                    f'remote-control:\n  control-enable: no\n')
            for zone in self.zones:
                f.write(f'zone:\n  name: "{zone}"\n  zonefile: "{zone}.zone"\n')
        for zone, lines in self.zones.items():
            with open(f"{self.dir}/{zone}.zone", "w") as f:
                f.write(f"$ORIGIN {zone}.\n" + SOA.format(zone=zone, address=self.addresses[0]) + lines + "\n")
            if zone in self.keys:
                self.sign(zone)

    def start(self):
        self.write()
        self.process = subprocess.Popen(["/usr/sbin/nsd", "-d", "-c", f"{self.dir}/nsd.conf"],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        import dns.message
        import dns.query
        question = dns.message.make_query(next(iter(self.zones)), "SOA")

        def answers():
            if self.process.poll() is not None:
                raise RuntimeError("nsd has ended: " + self.log())
            try:
                return dns.query.udp(question, self.addresses[0], port=self.port, timeout=1)
            except (OSError, dns.exception.DNSException):
                return None
        try:
            until(answers, "nsd answers")
        except AssertionError as e:
            raise RuntimeError(f"{e}: {self.log()}")

    def log(self):
        try:
            return open(f"{self.dir}/log").read()[-2000:]
        except FileNotFoundError:
            return ""

    def stop(self):
        if self.process:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
            self.process = None

    def change(self, zones):
        self.stop()
        self.zones.update(zones)
        self.start()

    def close(self):
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)

    def txt(self, name):
        """For dkimpy: the TXT record at name, or None."""
        import dns.message
        import dns.query
        if isinstance(name, bytes):
            name = name.decode()
        answer = dns.query.udp(dns.message.make_query(name, "TXT"), self.addresses[0], port=self.port, timeout=30)
        for rrset in answer.answer:
            for rdata in rrset:
                if rdata.rdtype == 16:
                    return b"".join(rdata.strings)
        return None


class IllServer:
    """
    A name server on loopback before an Nsd. `ills` is [(end of a name, type or None, what is wrong)]: "silent",
    "servfail", "refused", "garbage", "late" (1 s after the first time, as from a resolver that has to find out),
    "lie" (another name in the question); what none of them is about is passed on.
    """

    def __init__(self, nsd, ills):
        self.nsd, self.ills = nsd, ills
        self.asked, self.first = [], {}
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", free_port()))
        self.port = self.socket.getsockname()[1]
        self.tcp = socket.socket()
        self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.tcp.bind(("127.0.0.1", self.port))
        self.tcp.listen(100)
        threading.Thread(target=self.serve_udp, daemon=True).start()
        threading.Thread(target=self.serve_tcp, daemon=True).start()

    def close(self):
        self.socket.close()
        self.tcp.close()

    def answer(self, octets):
        """The octets that go back, or None."""
        import dns.message
        import dns.query
        import dns.rcode
        import dns.rdatatype
        question = dns.message.from_wire(octets)
        name = question.question[0].name.to_text().rstrip(".").lower()
        kind = dns.rdatatype.to_text(question.question[0].rdtype)
        self.asked.append((name, kind))
        ill = next((what for end, type, what in self.ills if name.endswith(end) and type in (None, kind)), None)
        if ill == "silent":
            return None
        if ill == "garbage":
            return octets[:2] + b"\x81\x80" + os.urandom(40)
        if ill == "late":
            time.sleep(max(0, self.first.setdefault((name, kind), time.time()) + 1 - time.time()))
        if ill in ("servfail", "refused"):
            reply = dns.message.make_response(question)
            reply.set_rcode(dns.rcode.SERVFAIL if ill == "servfail" else dns.rcode.REFUSED)
            return reply.to_wire()
        reply = dns.query.udp(question, self.nsd.addresses[0], port=self.nsd.port, timeout=30)
        if ill == "lie":
            reply.question[0].name = dns.name.from_text("liar.example.")
        return reply.to_wire()

    def serve_udp(self):
        while True:
            try:
                octets, peer = self.socket.recvfrom(4096)
            except OSError:
                return
            threading.Thread(target=self.one_udp, args=(octets, peer), daemon=True).start()

    def one_udp(self, octets, peer):
        try:
            reply = self.answer(octets)
            if reply:
                self.socket.sendto(reply, peer)
        except Exception:
            pass  # no answer is an answer, too

    def serve_tcp(self):
        while True:
            try:
                connection, _ = self.tcp.accept()
            except OSError:
                return
            connection.close()  # long answers are no illness: they are asked of nsd itself
