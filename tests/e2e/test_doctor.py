# SPDX-License-Identifier: ISC
"""The doctor before zones of our own: a subject that passes everything, and every single fault named."""

import json
import os
import re
import socket
import subprocess
import tempfile
import threading
import time
from contextlib import contextmanager

from house import Nsd, Postern, free_port
from world import zone_lines
from zones import IllServer

SOURCE = "192.0.2.10"
LISTS = ("zen.spamhaus.org", "bl.spamcop.net", "b.barracudacentral.org", "psbl.surriel.com")
HEALTHY_LIST = "2.0.0.127 60 IN A 127.0.0.2"

GOOD = {
    "sender.example": '@ 60 IN MX 10 mx\nmx 60 IN A 192.0.2.20\nmail 60 IN A 192.0.2.10\nmail 60 IN TXT "v=spf1 a -all"\n'
                      '@ 60 IN TXT "v=spf1 ip4:192.0.2.10 -all"\n_dmarc 60 IN TXT "v=DMARC1; p=reject; rua=mailto:dmarc@sender.example"\n',
    "example": "",
    "2.0.192.in-addr.arpa": "10 60 IN PTR mail.sender.example.",
    "dbl.spamhaus.org": "dbltest.com 60 IN A 127.0.1.2",
    "multi.surbl.org": "test.surbl.org 60 IN A 127.0.0.254",
    **{zone: HEALTHY_LIST for zone in LISTS},
}


QUICK_S = 3  # a look at servers that all answer; the doctor gives up on one after 3.5 s, on all after 4.5
DEAD_S = 5.5  # one at servers that do not


class Clinic:
    """One nsd and one configuration with a published key; `look` gives {check id: [statuses]} for changed zones."""

    def __init__(self, config=""):
        self.nsd = Nsd(GOOD)
        self.base = f"hostname mail.sender.example\ndomains sender.example\nresolver 127.0.0.1@{self.nsd.port}\ndnssec off\n"
        self.postern = Postern(self.base + (config or "outbound { ipv6 off }"))
        made = self.postern.run("dkim", "new", "sender.example", "--selector", "s1", check=0).stdout
        self.key_lines = zone_lines(made)
        self.good = {**GOOD, "sender.example": GOOD["sender.example"] + self.key_lines}

    def close(self):
        self.postern.close()
        self.nsd.close()

    def zones(self, changes):
        """changes: zone -> new text, or a function of the good text, or None for a zone that is not there."""
        zones = dict(self.good)
        for zone, change in changes.items():
            new = change(zones.get(zone, "")) if callable(change) else change
            if new is None:
                zones.pop(zone)
            else:
                zones[zone] = new
        self.nsd.stop()
        self.nsd.zones = zones
        self.nsd.start()

    def run(self, *args, sources=(SOURCE,)):
        return self.postern.run("doctor", *[a for s in sources for a in ("--source", s)], "--quick", *args)

    def look(self, *args, sources=(SOURCE,), limit_s=QUICK_S):
        """If that took so long that the doctor may have given up on something, the machine was busy: up to three more looks."""
        for _ in range(4):
            began = time.monotonic()
            r = self.run("--json", *args, sources=sources)
            self.seconds = time.monotonic() - began
            assert r.returncode in (0, 1, 2, 4), r.stderr + r.stdout
            if self.seconds < limit_s:
                break
        self.report = json.loads(r.stdout)
        self.code = r.returncode
        found = {}
        for check in self.report["checks"]:
            found.setdefault(check["id"], []).append(check["status"])
        return found

    def in_time(self):
        """Five seconds are the limit of all checks; a machine that is busy with other things adds to it, as to a look that asks nobody."""
        if self.seconds < DEAD_S:
            return True
        began = time.monotonic()
        self.run("--offline")
        return self.seconds < DEAD_S + 10 * (time.monotonic() - began)

    def find(self, id):
        return [c for c in self.report["checks"] if c["id"] == id]


@contextmanager
def clinic(config=""):
    c = Clinic(config)
    try:
        yield c
    finally:
        c.close()


def swap(old, new):
    def change(text):
        assert old in text, (old, text)
        return text.replace(old, new)
    return change


def flat(text):
    """Key records on one line each, cut anew: with room to put something in front."""
    def line(m):
        joined = "".join(re.findall(r'"([^"]*)"', m.group(1)))
        return " ".join(f'"{joined[i:i + 180]}"' for i in range(0, len(joined), 180))
    return re.sub(r"\(([^)]*)\)", line, text)


SPF = '"v=spf1 ip4:192.0.2.10 -all"'
DMARC = '"v=DMARC1; p=reject; rua=mailto:dmarc@sender.example"'
PTR = "10 60 IN PTR mail.sender.example."
REVERSE, HOME = "2.0.192.in-addr.arpa", "sender.example"


def spf(record, more=""):
    return {HOME: lambda text: swap(SPF, f'"{record}"')(text) + "\n" + more}


def dmarc(record, more=""):
    return {HOME: lambda text: swap(DMARC, f'"{record}"')(text) + "\n" + more}


def key(change):
    return {HOME: lambda text: change(flat(text))}


MANY = "\n".join(f'n{i} 60 IN A 192.0.2.{100 + i}' for i in range(12))

# what is changed, the check that must tell, and how
FAULTS = [
    ("no reverse name", {REVERSE: ""}, "ptr.exists", "fail"),
    ("two reverse names", {REVERSE: PTR + "\n10 60 IN PTR other.sender.example."}, "ptr.single", "warn"),
    ("reverse name leads elsewhere", {REVERSE: "10 60 IN PTR mx.sender.example."}, "ptr.fcrdns", "fail"),
    ("reverse name leads nowhere", {REVERSE: "10 60 IN PTR gone.sender.example."}, "ptr.fcrdns", "fail"),
    ("reverse name of the address", {REVERSE: "10 60 IN PTR ip10-2-0-192.sender.example."}, "ptr.generic", "warn"),
    ("reverse name of a dial-up line", {REVERSE: "10 60 IN PTR x.dyn.sender.example."}, "ptr.generic", "warn"),
    ("EHLO name leads elsewhere", {HOME: swap("mail 60 IN A 192.0.2.10", "mail 60 IN A 192.0.2.11")}, "ehlo.resolves", "fail"),
    ("EHLO name leads nowhere", {HOME: swap("mail 60 IN A 192.0.2.10\n", "")}, "ehlo.resolves", "fail"),
    ("EHLO name is not the reverse name", {REVERSE: "10 60 IN PTR out.sender.example.", HOME: lambda t: t + "\nout 60 IN A 192.0.2.10"},
     "ehlo.match", "warn"),
    ("no SPF", {HOME: swap(f"@ 60 IN TXT {SPF}\n", "")}, "spf.record", "fail"),
    ("two SPF records", {HOME: lambda t: t + '\n@ 60 IN TXT "v=spf1 mx -all"'}, "spf.record", "fail"),
    ("SPF with a mistake", spf("v=spf1 ipv4:192.0.2.10 -all"), "spf.record", "fail"),
    ("SPF with an include of nothing", spf("v=spf1 ip4:192.0.2.10 include:gone.sender.example -all"), "spf.record", "fail"),
    ("SPF pasted with quotes", spf('\\"v=spf1 ip4:192.0.2.10 -all\\"'), "spf.record", "fail"),
    ("SPF without our address", spf("v=spf1 mx -all"), "spf.auth", "fail"),
    ("SPF is neutral", spf("v=spf1 mx ?all"), "spf.auth", "fail"),
    ("SPF with 11 lookups behind the match", spf("v=spf1 ip4:192.0.2.10 " + " ".join(f"a:n{i}.sender.example" for i in range(11)) + " -all", MANY),
     "spf.lookups", "fail"),
    ("SPF with 9 lookups", spf("v=spf1 ip4:192.0.2.10 " + " ".join(f"a:n{i}.sender.example" for i in range(9)) + " -all", MANY), "spf.lookups", "warn"),
    ("SPF that includes itself", spf("v=spf1 ip4:192.0.2.10 include:sender.example -all"), "spf.lookups", "fail"),
    ("SPF with a name that is not there", spf("v=spf1 ip4:192.0.2.10 a:gone.sender.example -all"), "spf.void", "warn"),
    ("SPF with three of them", spf("v=spf1 ip4:192.0.2.10 a:g1.sender.example a:g2.sender.example mx:g3.sender.example -all"), "spf.void", "fail"),
    ("SPF +all", spf("v=spf1 +all"), "spf.all", "fail"),
    ("SPF ?all", spf("v=spf1 ip4:192.0.2.10 ?all"), "spf.all", "warn"),
    ("SPF without all", spf("v=spf1 ip4:192.0.2.10"), "spf.all", "warn"),
    ("SPF with ptr", spf("v=spf1 ip4:192.0.2.10 ptr -all"), "spf.style", "warn"),
    ("SPF with half the world", spf("v=spf1 ip4:192.0.0.0/8 -all"), "spf.style", "warn"),
    ("SPF of the old type, too", {HOME: lambda t: t + '\n@ 60 IN SPF "v=spf1 -all"'}, "spf.style", "warn"),
    ("no SPF of the EHLO name", {HOME: swap('mail 60 IN TXT "v=spf1 a -all"\n', "")}, "spf.helo", "note"),
    ("SPF of the EHLO name says no", {HOME: swap('mail 60 IN TXT "v=spf1 a -all"', 'mail 60 IN TXT "v=spf1 -all"')}, "spf.helo", "warn"),
    ("key not published", {HOME: GOOD[HOME]}, "dkim.record", "fail"),
    ("key revoked", key(lambda t: re.sub(r"p=MII.*", 'p="', t, count=1)), "dkim.record", "fail"),
    ("key cut", key(lambda t: re.sub(r'(p=MII[^"]{80}).*', r'\1"', t, count=1)), "dkim.record", "fail"),
    ("key with backslashes", key(lambda t: t.replace("v=DKIM1; ", "v=DKIM1\\\\; ")), "dkim.record", "fail"),
    ("key with quotes inside", key(lambda t: t.replace('"v=DKIM1', '"\\"v=DKIM1')), "dkim.record", "fail"),
    ("key for SHA-1 only", key(lambda t: t.replace("k=rsa;", "h=sha1; k=rsa;")), "dkim.record", "fail"),
    ("key for another service", key(lambda t: t.replace("k=rsa;", "s=tlsrpt; k=rsa;")), "dkim.record", "fail"),
    ("key of another type", key(lambda t: t.replace("k=rsa;", "k=ed25519;")), "dkim.record", "fail"),
    ("two key records", {HOME: lambda t: t + '\ns1._domainkey 60 IN TXT "v=DKIM1; p="'}, "dkim.record", "fail"),
    ("v= not in front", key(lambda t: t.replace("v=DKIM1; k=rsa;", "k=rsa; v=DKIM1;")), "dkim.record", "fail"),
    ("another key", {}, "dkim.match", "fail"),
    ("key in test mode", key(lambda t: t.replace("k=rsa;", "t=y; k=rsa;")), "dkim.flags", "warn"),
    ("no DMARC", {HOME: swap(f"_dmarc 60 IN TXT {DMARC}\n", "")}, "dmarc.record", "fail"),
    ("two DMARC records", {HOME: lambda t: t + '\n_dmarc 60 IN TXT "v=DMARC1; p=none"'}, "dmarc.record", "fail"),
    ("DMARC in small letters", dmarc("v=dmarc1; p=reject; rua=mailto:d@sender.example"), "dmarc.record", "fail"),
    ("DMARC with an unknown policy", dmarc("v=DMARC1; p=refuse; rua=mailto:d@sender.example"), "dmarc.record", "fail"),
    ("DMARC p=none", dmarc("v=DMARC1; p=none; rua=mailto:d@sender.example"), "dmarc.policy", "warn"),
    ("DMARC with pct", dmarc("v=DMARC1; p=reject; pct=50; rua=mailto:d@sender.example"), "dmarc.style", "warn"),
    ("DMARC with ri", dmarc("v=DMARC1; p=reject; ri=3600; rua=mailto:d@sender.example"), "dmarc.style", "note"),
    ("DMARC that leaves names below to all", dmarc("v=DMARC1; p=reject; np=none; rua=mailto:d@sender.example"), "dmarc.policy", "warn"),
    ("DMARC in test mode", dmarc("v=DMARC1; p=reject; t=y; rua=mailto:d@sender.example"), "dmarc.policy", "note"),
    ("DMARC without reports", dmarc("v=DMARC1; p=reject"), "dmarc.rua", "warn"),
    ("DMARC reports to who did not agree", {**dmarc("v=DMARC1; p=reject; rua=mailto:d@reports.example"), "reports.example": ""}, "dmarc.rua", "fail"),
    ("null MX", {HOME: swap("MX 10 mx", "MX 0 .")}, "bounce.mx", "fail"),
    ("no MX and no address", {HOME: swap("@ 60 IN MX 10 mx\n", "")}, "bounce.mx", "fail"),
    ("no MX but an address", {HOME: swap("@ 60 IN MX 10 mx\n", "@ 60 IN A 192.0.2.20\n")}, "bounce.mx", "warn"),
    ("MX without address", {HOME: swap("mx 60 IN A 192.0.2.20\n", "")}, "bounce.mx", "fail"),
    ("MX is an alias", {HOME: swap("mx 60 IN A 192.0.2.20\n", "mx 60 IN CNAME box\nbox 60 IN A 192.0.2.20\n")}, "bounce.mx", "warn"),
    ("MX is an address", {HOME: swap("MX 10 mx\n", "MX 10 192.0.2.20.\n")}, "bounce.mx", "fail"),
    ("no TLS policy", {}, "tls.policy", "note"),
    ("MTA-STS without reports", {HOME: lambda t: t + '\n_mta-sts 60 IN TXT "v=STSv1; id=1"'}, "tls.policy", "note"),
    ("MTA-STS and reports", {HOME: lambda t: t + '\n_mta-sts 60 IN TXT "v=STSv1; id=1"\n_smtp._tls 60 IN TXT "v=TLSRPTv1; rua=mailto:t@sender.example"'}, "tls.policy", "pass"),
    ("on a block list", {LISTS[0]: HEALTHY_LIST + "\n10.2.0.192 60 IN A 127.0.0.2"}, "dnsbl.ip", "fail"),
    ("network that should not send", {LISTS[0]: HEALTHY_LIST + "\n10.2.0.192 60 IN A 127.0.0.10"}, "dnsbl.ip", "fail"),
    ("all block lists refuse", {zone: "* 60 IN A 127.255.255.254" for zone in LISTS}, "dnsbl.ip", "skip"),
    ("all block lists are dead", {zone: "" for zone in LISTS}, "dnsbl.ip", "skip"),
    ("all block lists list everything", {zone: "* 60 IN A 127.0.0.2" for zone in LISTS}, "dnsbl.ip", "skip"),
    ("domain on a block list", {"dbl.spamhaus.org": "dbltest.com 60 IN A 127.0.1.2\nsender.example 60 IN A 127.0.1.2"}, "dnsbl.domain", "fail"),
]


def test_all_is_well():
    """a sender with everything in order: no warning, exit 0; the numbers add up"""
    with clinic() as c:
        c.zones({})
        found = c.look()
        bad = [(k["id"], k["status"], k["why"]) for k in c.report["checks"] if k["status"] in ("warn", "fail")]
        assert not bad and c.code == 0, bad
        assert {id for id, s in found.items() if "skip" in s} <= {"net.port25", "bounce.rcpt", "contact", "tls.cert", "clock", "fs"}, found
        assert sum(c.report["summary"].values()) == len(c.report["checks"])
        text = c.run()
        assert text.returncode == 0 and "Nothing speaks against this mail" in text.stdout and "\033" not in text.stdout, text.stdout


def check_faults(*prefixes):
    with clinic() as c:
        wrong = []
        other = Postern("hostname o.example\ndomains sender.example")
        stranger = zone_lines(other.run("dkim", "new", "sender.example", "--selector", "s1", check=0).stdout)
        other.close()
        for name, changes, id, status in FAULTS:
            if not id.startswith(prefixes):
                continue
            if name == "another key":
                changes = {HOME: GOOD[HOME] + stranger}
            c.zones(changes)
            found = c.look()
            if status not in found[id]:
                wrong.append((name, id, found[id], [k["why"] for k in c.find(id)]))
                continue
            told = [k for k in c.find(id) if k["status"] == status][0]
            if not told["why"] or (status == "fail" and not (told["fix"]["text"] and (told["refused_by"] or id == "dmarc.rua"))):
                wrong.append((name, id, "no way out", told))
            if status in ("warn", "fail") and c.code != {"warn": 1, "fail": 2}[status] and not (status == "warn" and c.code == 2):
                wrong.append((name, "exit", c.code))
        assert not wrong, "\n".join(map(str, wrong))


def test_faults_of_names():
    """each single fault of reverse names and EHLO in turn is told by its check, with its severity and a way out"""
    check_faults("ptr.", "ehlo.")


def test_faults_of_spf():
    """the same for SPF"""
    check_faults("spf.")


def test_faults_of_dkim():
    """the same for keys and their records"""
    check_faults("dkim.")


def test_faults_of_the_rest():
    """the same for DMARC, MX and block lists"""
    known = ("ptr.", "ehlo.", "spf.", "dkim.")
    rest = {id for _, _, id, _ in FAULTS if not id.startswith(known)}
    assert rest == {"dmarc.record", "dmarc.policy", "dmarc.style", "dmarc.rua", "bounce.mx", "tls.policy", "dnsbl.ip", "dnsbl.domain"}, rest
    check_faults(*rest)


def test_matrix():
    """every address is judged by itself: the IPv6 source without a reverse name fails, the IPv4 one passes"""
    with clinic() as c:
        c.zones({})
        c.look(sources=(SOURCE, "2001:db8::7"))
        by = {(k["id"], k["subject"].get("source")): k["status"] for k in c.report["checks"]}
        assert ("net.ipv6", SOURCE) not in by
        for id in ("ptr.exists", "spf.auth", "ehlo.resolves"):
            assert by[id, SOURCE] == "pass" and by[id, "2001:db8::7"] in ("fail", "skip"), (id, by)
        assert by["net.ipv6", "2001:db8::7"] == "fail" or by["ptr.exists", "2001:db8::7"] == "skip"
        record = [k for k in c.find("spf.auth") if k["status"] == "fail"][0]["fix"]["records"][0]["value"]
        assert "ip6:2001:db8::7" in record and "ip4:192.0.2.10" in record and record.endswith("-all"), record


def test_repairs_repair():
    """zones with four faults: what the doctor prints, pasted, makes all of it pass"""
    with clinic() as c:
        c.zones({HOME: "@ 60 IN MX 10 mx\nmx 60 IN A 192.0.2.20\n@ 60 IN TXT \"v=spf1 mx ~all\"\n", REVERSE: ""})
        text = c.run()
        assert text.returncode == 2 and "To repair:" in text.stdout and "would be refused" in text.stdout, text.stdout
        lines = {line.strip() for line in text.stdout.splitlines() if re.match(r"\s+\S+\. 3600 IN ", line)}
        spf_lines = [line for line in lines if line.startswith("sender.example. 3600 IN TXT")]
        assert spf_lines == ['sender.example. 3600 IN TXT "v=spf1 ip4:192.0.2.10 mx ~all"'], spf_lines
        home = "@ 60 IN MX 10 mx\nmx 60 IN A 192.0.2.20\n" + "\n".join(line for line in lines if "in-addr" not in line)
        c.zones({HOME: home, REVERSE: "\n".join(line for line in lines if "in-addr" in line)})
        c.look()
        bad = [(k["id"], k["why"]) for k in c.report["checks"] if k["status"] == "fail"]
        assert not bad, (bad, home)


def test_dead_servers():
    """name servers that never answer: under 5 s, all is skip, exit 4; offline asks nobody, exit 0"""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf, clinic() as c:
        deaf.bind(("127.0.0.1", 0))
        c.look("--resolver", f"127.0.0.1@{deaf.getsockname()[1]}", limit_s=DEAD_S)
        assert c.in_time(), c.seconds
        assert c.code == 4, (c.code, c.report)
        ids = {k["id"]: k["status"] for k in c.report["checks"]}
        assert ids["ptr.exists"] == ids["spf.auth"] == ids["dkim.record"] == ids["dmarc.record"] == "skip", ids
        r = c.run("--offline", "--json")
        ids = {k["id"]: k["status"] for k in json.loads(r.stdout)["checks"]}
        assert ids["ptr.exists"] == "skip" and ids["host.name"] == "pass" and ids["dkim.bits"] == "pass" and r.returncode == 0, (r.returncode, ids)


def test_exit_codes():
    """--fail-on fail forgives warnings; a wrong word or configuration is 3"""
    with clinic() as c:
        c.zones(dmarc("v=DMARC1; p=none; rua=mailto:d@sender.example"))
        assert c.run().returncode == 1
        assert c.run("--fail-on", "fail").returncode == 0
        assert c.run("--fail-on", "never").returncode == 3
        assert c.postern.run("doctor", "--source", "300.1.1.1").returncode == 3
        c.postern.configure("hostnam x")
        assert c.run().returncode == 3


BASIC = "hostname mail.sender.example\n"
PUBLIC = "listen 0.0.0.0:{port} starttls auth auth-required\nlisten 0.0.0.0:{other} tls auth auth-required\nusers {dir}/users\ntls {dir}/good.crt {dir}/good.key\n"

# lines of the configuration, the check, and how it must judge
HOSTS = [
    (BASIC, "host.name", "pass"),
    (BASIC + "outbound { helo mail }", "host.name", "fail"),
    (BASIC + "outbound { helo localhost }", "host.name", "fail"),
    (BASIC, "msgid", "pass"),
    (BASIC, "ehlo.stable", "pass"),
    (BASIC + "outbound { helo out.sender.example }", "ehlo.stable", "note"),
    (BASIC + "outbound { helo out.sender.example }\n" + PUBLIC, "ehlo.stable", "warn"),
    (BASIC, "relay.nets", "pass"),
    (BASIC + "trust 0.0.0.0/0 i-know-this-is-an-open-relay", "relay.nets", "fail"),
    (BASIC, "relay.open", "pass"),
    (BASIC + PUBLIC, "relay.open", "pass"),
    (BASIC + "trust 198.51.100.0/24\ntrust 203.0.113.0/24", "relay.open", "pass"),
    (BASIC + "trust 0.0.0.0/0 i-know-this-is-an-open-relay", "relay.open", "fail"),
    (BASIC + "trust ::/0 i-know-this-is-an-open-relay", "relay.open", "fail"),
    (BASIC + PUBLIC + "trust 0.0.0.0/0 i-know-this-is-an-open-relay", "relay.open", "fail"),
    (BASIC + "resolver 8.8.8.8", "dns.resolver", "warn"),
    (BASIC + "resolver 2001:4860:4860::8844", "dns.resolver", "warn"),
    (BASIC + "resolver recursive", "dns.resolver", "pass"),
    (BASIC, "tls.cert", "skip"),
    (BASIC + "tls {dir}/good.crt {dir}/good.key", "tls.cert", "pass"),
    (BASIC + "tls {dir}/old.crt {dir}/old.key", "tls.cert", "fail"),
    (BASIC + "tls {dir}/short.crt {dir}/short.key", "tls.cert", "fail"),
    (BASIC + "tls {dir}/ends.crt {dir}/ends.key", "tls.cert", "warn"),
    (BASIC + "tls {dir}/sha1.crt {dir}/sha1.key", "tls.cert", "warn"),
    (BASIC + "tls {dir}/other.crt {dir}/other.key", "tls.cert", "warn"),
    (BASIC, "queue", "pass"),
    (BASIC + "spool {dir}/nowhere", "queue", "note"),
    (BASIC + "spool {dir}/good.crt", "queue", "fail"),
    (BASIC, "fs", "pass"),
    (BASIC + "spool {dir}/nowhere", "fs", "skip"),
    (BASIC, "src.public", "pass"),
]

EC, SHORT = ("ec", "-pkeyopt", "ec_paramgen_curve:P-256"), ("rsa:1024",)


def make_certificates(folder):
    def make(name, days, kind=EC, digest="-sha256", host="mail.sender.example"):
        subprocess.run(["openssl", "req", "-x509", "-newkey", *kind, digest, "-nodes", "-keyout", f"{folder}/{name}.key", "-out", f"{folder}/{name}.crt",
                        "-days", str(days), "-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}"], check=True, capture_output=True)
    make("good", 90)
    make("ends", 5)
    make("short", 90, SHORT)
    make("sha1", 90, digest="-sha1")
    make("other", 90, host="www.sender.example")
    make("old", 90)
    subprocess.run(["openssl", "req", "-new", "-key", f"{folder}/old.key", "-subj", "/CN=mail.sender.example", "-out", f"{folder}/old.csr"], check=True)
    subprocess.run(["openssl", "x509", "-req", "-in", f"{folder}/old.csr", "-signkey", f"{folder}/old.key", "-days", "0", "-out", f"{folder}/old.crt"],
                   check=True, capture_output=True)
    time.sleep(1)  # zero days are over


def test_host():
    """what needs no question: names, networks, tricks of strangers, certificates, spool, resolver"""
    p = Postern()
    try:
        make_certificates(p.dir)
        os.mkdir(f"{p.dir}/spool", 0o700)
        open(f"{p.dir}/users", "w").close()
        os.chmod(f"{p.dir}/users", 0o600)
        wrong, base = [], p.base
        for config, id, status in HOSTS:
            p.base = "".join(line for line in base.splitlines(True) if not (line.startswith("spool") and "\nspool" in config))
            p.configure(config.replace("{dir}", p.dir).replace("{port}", str(free_port())).replace("{other}", str(free_port())) + "\ndomains sender.example\n")
            r = p.run("doctor", "--json", "--source", SOURCE, "--offline")
            if r.returncode not in (0, 1, 2):
                wrong.append((config, id, r.returncode, r.stderr))
                continue
            told = [k for k in json.loads(r.stdout)["checks"] if k["id"] == id]
            if [k["status"] for k in told] != [status] or not told[0]["why"] or (status == "fail" and not told[0]["fix"]["text"]):
                wrong.append((config, id, told))
        assert not wrong, "\n".join(map(str, wrong))
    finally:
        p.close()


# what the name server does with names that end so, and the checks that cannot be made then
ILLS = [
    ("2.0.192.in-addr.arpa", None, ("ptr.exists", "ptr.single", "ptr.fcrdns", "ptr.generic", "ehlo.match")),
    ("mail.sender.example", "A", ("ehlo.resolves", "ptr.fcrdns")),
    ("mail.sender.example", "TXT", ("spf.helo",)),
    ("sender.example", "TXT", ("spf.record", "spf.auth", "spf.lookups", "spf.void", "spf.all", "spf.style")),
    ("s1._domainkey.sender.example", None, ("dkim.record", "dkim.match", "dkim.flags", "dkim.all-ns", "dkim.sign")),
    ("_dmarc.sender.example", None, ("dmarc.record", "dmarc.policy", "dmarc.style", "dmarc.rua")),
    ("sender.example", "MX", ("bounce.mx", "tls.policy")),
    ("sender.example", "NS", ("dkim.all-ns",)),
    ("_mta-sts.sender.example", None, ("tls.policy",)),
    ("spamhaus.org", None, ()),
]


def check_ill(what, ills):
    """One fault of the name server after the other."""
    with clinic() as c:
        c.zones({})
        well = c.look()
        wrong = []
        for end, kind, ids in ills:
            ill = IllServer(c.nsd, [(end, kind, what)])
            found = c.look("--resolver", f"127.0.0.1@{ill.port}", limit_s=QUICK_S if what == "refused" else DEAD_S)
            if not c.in_time() or c.code not in (0, 4):
                wrong.append((what, end, c.seconds, c.code))
            ill.close()
            if not any(name.endswith(end) for name, _ in ill.asked):
                wrong.append((what, end, "never asked"))
            for id in ids:
                if "skip" not in found[id] or "pass" in found[id][:1] or not all(k["why"] for k in c.find(id)):
                    wrong.append((what, end, id, found[id], c.find(id)))
            for id in set(found) - set(ids):
                if any(s in ("warn", "fail") for s in found[id]) and found[id] != well[id]:
                    wrong.append((what, end, id, found[id], c.find(id)))
        assert not wrong, "\n".join(map(str, wrong))


def test_servfail():
    """a name server that fails: what hangs on its answer is skipped with a reason, the rest is judged"""
    check_ill("servfail", ILLS)


def test_refused():
    """the same if it refuses"""
    check_ill("refused", ILLS[:3])


def test_garbage():
    """the same if it answers with garbage, or about another name"""
    check_ill("garbage", ILLS[:2])
    check_ill("lie", ILLS[3:5])


def test_silence():
    """the same if it says nothing, and all checks end within 5 s"""
    check_ill("silent", ILLS[::2])


def test_slow_server():
    """answers that the resolver takes a second to find are waited for"""
    with clinic() as c:
        c.zones({})
        ill = IllServer(c.nsd, [("10.2.0.192.in-addr.arpa", None, "late"), ("_dmarc.sender.example", None, "late")])
        try:
            found = c.look("--resolver", f"127.0.0.1@{ill.port}")
            assert found["ptr.exists"] == found["dmarc.record"] == ["pass"], found
        finally:
            ill.close()


def test_long_answers():
    """what does not fit a datagram comes over TCP: two dozen TXT records beside SPF, and a key in pieces"""
    with clinic() as c:
        more = "\n".join(f'@ 60 IN TXT "some-site-verification={"%03d" % i}{"x" * 200}"' for i in range(24))
        c.zones({HOME: lambda text: text + "\n" + more})
        found = c.look()
        assert set(found["spf.record"] + found["spf.auth"] + found["dkim.record"]) == {"pass"} and c.code == 0, found


def test_port25():
    """outgoing connections: open, closed for IPv4, nobody to try"""
    with clinic() as c, socket.socket() as server:
        server.bind(("127.0.0.2", 0))
        server.listen(50)
        port = server.getsockname()[1]
        c.postern.configure(c.base + f"outbound {{ port {port}  ipv6 off }}\n")

        def look(address):
            c.zones({"gmail.com": f"@ 60 IN MX 10 mx\nmx 60 IN A {address}" if address else ""})
            r = c.postern.run("doctor", "--json", "--source", SOURCE)
            return [k for k in json.loads(r.stdout)["checks"] if k["id"] == "net.port25"][0]["status"]
        assert look("127.0.0.2") == "pass"
        assert look("127.0.0.3") == "fail"
        assert look(None) == "skip"


def test_dns_records():
    """`dns` tells each record as present, missing or different; --zone is accepted by named-checkzone, and repairs"""
    with clinic() as c:
        def dns(*args):
            return c.postern.run("dns", "sender.example", "--source", SOURCE, *args)

        def states():
            return {(r["type"], r["name"], r["what"]): r for r in json.loads(dns("--json").stdout)}
        c.zones({})
        assert dns().returncode == 0, dns().stdout
        assert all(r["state"] == "present" or r["optional"] for r in states().values()), states()
        c.zones({HOME: '@ 60 IN TXT "v=spf1 mx ~all"\n@ 60 IN TXT "something else"\nmail 60 IN A 192.0.2.99\n', REVERSE: ""})
        got = {(t, n): (r["state"], r["value"]) for (t, n, _), r in states().items()}
        assert got["PTR", "10.2.0.192.in-addr.arpa"] == ("missing", "mail.sender.example"), got
        assert got["A", "mail.sender.example"] == ("differs", SOURCE), got
        assert got["TXT", "sender.example"] == ("differs", "v=spf1 ip4:192.0.2.10 mx ~all"), got
        assert got["MX", "sender.example"][0] == "missing" and got["TXT", "_dmarc.sender.example"][0] == "missing", got
        assert got["TXT", "s1._domainkey.sender.example"][0] == got["TXT", "s1e._domainkey.sender.example"][0] == "missing", got
        assert dns().returncode == 1
        diff = dns("--diff").stdout
        assert "[present]" not in diff and "you have: v=spf1 mx ~all" in diff, diff
        panel, hcl = dns("--format", "panel").stdout, dns("--format", "terraform").stdout
        assert "value  v=spf1 ip4:192.0.2.10 mx ~all" in panel, panel
        assert 'resource "dns_txt_record_set" "rs1__domainkey_sender_example"' in hcl and 'zone = "sender.example."' in hcl, hcl
        assert dns("--format", "xml").returncode == 2
        zone = dns("--zone").stdout
        with tempfile.NamedTemporaryFile("w", suffix=".zone") as f:
            f.write(zone)
            f.flush()
            r = subprocess.run(["/usr/bin/named-checkzone", "sender.example", f.name], capture_output=True, text=True)
            assert r.returncode == 0 and "ignoring" not in r.stdout, (r.stdout, zone)
        lines = "\n".join(line for line in zone.splitlines() if " 3600 IN " in line and not line.startswith(";"))
        c.zones({HOME: lines})
        found = c.look()
        for id in ("spf.record", "spf.auth", "dkim.record", "dkim.match", "dkim.sign", "dmarc.record", "ehlo.resolves"):
            assert set(found[id]) == {"pass"}, (id, found[id], lines)


def test_dns_without_a_public_address():
    """behind NAT and without --source no record is made up that would forbid our mail"""
    with clinic() as c:
        c.zones({HOME: ""})
        r = c.postern.run("dns", "--json", "--source", "10.1.2.3")
        records = {r["name"]: r["value"] for r in json.loads(r.stdout)}
        assert records["sender.example"] != "v=spf1 -all" and "a:mail.sender.example" in json.dumps(json.loads(r.stdout)), records
        assert not any(r["type"] in ("PTR", "A") for r in json.loads(r.stdout))


def test_hostile_zone():
    """text of a zone cannot move the cursor: control octets come out as ? or escaped, whatever command shows them"""
    with clinic() as c:
        c.zones(spf("v=spf1 ip4:192.0.2.9 \\027[2Jx \\007 -all"))
        for r in (c.run(), c.postern.run("dns", "--source", SOURCE), c.postern.run("dns", "--source", SOURCE, "--format", "panel"),
                  c.postern.run("dns", "--source", SOURCE, "--format", "terraform")):
            assert "\033" not in r.stdout and "\007" not in r.stdout and r.returncode in (1, 2), r.stdout


def test_smarthost():
    """mail that leaves through a smarthost: our own address is not judged, and no record is made up that would forbid it"""
    with clinic("outbound { ipv6 off }\nroute * { via smart.example:587 }") as c:
        c.zones({HOME: swap(f"@ 60 IN TXT {SPF}\n", ""), REVERSE: ""})
        found = c.look()
        assert set(found["ptr.exists"] + found["spf.auth"] + found["ehlo.resolves"]) == {"skip"} and found["spf.record"] == ["fail"], found
        records = {r["name"]: r["value"] for r in json.loads(c.postern.run("dns", "--json", "--source", SOURCE).stdout)}
        assert records[HOME] == "v=spf1 a:smart.example ~all" and "10.2.0.192.in-addr.arpa" not in records, records
