# SPDX-License-Identifier: ISC
"""nsd on a loopback port, serving the zones of one test."""

import os
import random
import shutil
import socket
import subprocess
import tempfile
import time

SOA = "@ 60 IN SOA ns.{zone}. hostmaster.{zone}. 1 3600 600 86400 5\n@ 60 IN NS ns.{zone}.\nns 60 IN A 127.0.0.1\n"


def free_port(host="127.0.0.1"):
    """A port that is free for TCP and UDP, outside the range the kernel takes for outgoing connections."""
    while True:
        port = random.randrange(20000, 32000)
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
                tcp.bind((host, port))
                udp.bind((host, port))
                return port
        except OSError:
            continue


class Nsd:
    """zones: {"a.example": "lines of the zone file"}; `set` and `reload` change them while it runs."""

    def __init__(self, zones):
        self.dir = tempfile.mkdtemp(prefix="e2e-nsd-")
        os.chmod(self.dir, 0o755)
        self.port = free_port()
        self.zones = dict(zones)
        self.process = None
        self.start()

    def write(self):
        with open(f"{self.dir}/nsd.conf", "w") as f:
            f.write(f'server:\n  ip-address: 127.0.0.1@{self.port}\n  zonesdir: "{self.dir}"\n'
                    f'  username: ""\n  pidfile: "{self.dir}/pid"\n  database: ""\n'
                    f'  zonelistfile: "{self.dir}/list"\n  xfrdfile: ""\n  logfile: "{self.dir}/log"\n'
                    f'  server-count: 1\n  hide-version: yes\n  xfrdir: "{self.dir}"\n'
                    f'remote-control:\n  control-enable: no\n')
            for zone in self.zones:
                f.write(f'zone:\n  name: "{zone}"\n  zonefile: "{zone}.zone"\n')
        for zone, lines in self.zones.items():
            with open(f"{self.dir}/{zone}.zone", "w") as f:
                f.write(f"$ORIGIN {zone}.\n" + SOA.format(zone=zone) + lines + "\n")

    def start(self):
        self.write()
        self.process = subprocess.Popen(["/usr/sbin/nsd", "-d", "-c", f"{self.dir}/nsd.conf"],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        import dns.message
        import dns.query
        question = dns.message.make_query(next(iter(self.zones)), "SOA")
        for _ in range(100):
            try:
                dns.query.udp(question, "127.0.0.1", port=self.port, timeout=0.2)
                return
            except Exception:
                time.sleep(0.05)
        raise RuntimeError("nsd does not answer: " + open(f"{self.dir}/log").read()[-2000:])

    def stop(self):
        if self.process:
            self.process.terminate()
            try:
                self.process.wait(5)
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
        answer = dns.query.udp(dns.message.make_query(name, "TXT"), "127.0.0.1", port=self.port, timeout=3)
        for rrset in answer.answer:
            for rdata in rrset:
                if rdata.rdtype == 16:
                    return b"".join(rdata.strings)
        return None
