# SPDX-License-Identifier: ISC
"""From nothing to accepted mail by `postern setup` and the lines that it prints, before a receiver that refuses like the large ones."""

import json
import os
import pty
import re
import select
import subprocess
import time

from house import BIN, PATIENCE_S, Nsd, Postern, free_port, until
from minigmail import MiniGmail
from world import SENDER, letter, zone_lines

SOURCE = "192.0.2.10"
HOME, REVERSE = "sender.example", "2.0.192.in-addr.arpa"
MX = "@ 60 IN MX 10 mx\nmx 60 IN A 192.0.2.20"
FLAGS = ("--yes", "--no-wait", "--public-ip", SOURCE)


def pasted(text):
    """The records of what was printed: those of the domain, and those of the reverse zone."""
    lines = re.findall(r"^\S+\. 3600 IN .*$", text, re.MULTILINE)
    return ["\n".join(line for line in lines if ("in-addr" in line) == reverse) for reverse in (False, True)]


class Town:
    """nsd, a postern without domains, and mini-Gmail, which is also what the test of port 25 reaches."""

    def __init__(self, start=True):
        port = free_port()
        mail = "@ 60 IN MX 10 mx\nmx 60 IN A 127.0.0.2"
        self.nsd = Nsd({"example": "", HOME: MX, REVERSE: "", "gmail.com": mail, "receiver.example": mail})
        self.gmail = MiniGmail("127.0.0.2", port, self.nsd, SOURCE)
        self.postern = Postern(f"resolver 127.0.0.1@{self.nsd.port}\ndnssec off\n"
                               f"outbound {{ port {port}  private-mx allow  ipv6 off }}\n")
        if start:
            self.postern.start()

    def close(self):
        for part in (self.postern, self.gmail, self.nsd):
            part.close()

    def setup(self, *args, code):
        return self.postern.run("setup", HOME, *FLAGS, *args, check=code)

    def publish(self, home, reverse):
        self.nsd.change({HOME: MX + "\n" + home, REVERSE: reverse})

    def doctor(self):
        r = self.postern.run("doctor", "--json", "--quick", "--source", SOURCE)
        return {k["id"] for k in json.loads(r.stdout)["checks"] if k["status"] == "fail"}

    def send(self):
        """The reply that one letter gets."""
        count = len(self.gmail.verdicts)
        self.postern.send(SENDER, ["b@receiver.example"], letter("b@receiver.example"))
        until(lambda: len(self.gmail.verdicts) > count, what="verdict")
        return self.gmail.verdicts[-1]


def other_letter(match):
    return match[1] + ("y" if match[2] == "x" else "x")


FAULTS = [
    ("no reverse name", lambda home, reverse: (home, ""), "ptr.exists", "5.7.25"),
    ("a reverse name that does not lead back", lambda home, reverse: (home, reverse.replace("PTR mail.", "PTR mx.")), "ptr.fcrdns", "5.7.25"),
    ("no SPF", lambda home, reverse: (re.sub(r'^sender\.example\. .*v=spf1.*$', "", home, flags=re.M), reverse), "spf.record", "5.7.27"),
    ("SPF of another address", lambda home, reverse: (home.replace("ip4:192.0.2.10", "ip4:192.0.2.11"), reverse), "spf.auth", "5.7.27"),
    ("two SPF records", lambda home, reverse: (home + '\nsender.example. 3600 IN TXT "v=spf1 mx -all"', reverse), "spf.record", "5.7.27"),
    ("no keys", lambda home, reverse: (re.sub(r"^.*_domainkey.*$", "", home, flags=re.M), reverse), "dkim.record", "5.7.30"),
    ("keys of somebody else", lambda home, reverse: (re.sub(r"(_domainkey.*p=[^\"]{30})(\S)", other_letter, home), reverse), "dkim.", "5.7.30"),
    ("revoked keys", lambda home, reverse: (re.sub(r"p=M.*|p=[A-Za-z0-9+/]{42}.*", 'p="', re.sub(r"\( (.*)\)", r"\1", home)), reverse), "dkim.record", "5.7.30"),
    ("no DMARC", lambda home, reverse: (re.sub(r"^_dmarc.*$", "", home, flags=re.M), reverse), "dmarc.record", "5.7.515"),
]


def test_from_nothing_to_accepted():
    """setup, its lines pasted, setup again: live, and mini-Gmail accepts; then each single fault is told by the doctor and refused there"""
    t = Town()
    try:
        t.postern.send(SENDER, ["b@receiver.example"], letter("b@receiver.example"))
        first = t.setup("--hostname", "mail.sender.example", code=1)
        assert "capture" in first.stdout and "hostname mail.sender.example" in open(t.postern.conf).read(), first.stdout
        assert "domains" not in open(t.postern.conf).read()
        home, reverse = pasted(first.stdout)
        assert "PTR" in reverse and "v=spf1 ip4:192.0.2.10 -all" in home, first.stdout
        t.publish(home, reverse)
        second = t.setup(code=0)
        assert "live" in second.stdout and "Port 25" in second.stdout and "1 captured" in second.stdout, second.stdout + second.stderr
        before = open(t.postern.conf).read()
        assert before.count("\nhostname ") == 1 and before.count("\ndomains sender.example") == 1, before
        t.postern.run("queue", "release", "--all", check=0)
        t.gmail.wait(1)
        assert t.gmail.verdicts == ["250"], t.gmail.verdicts
        third = t.setup(code=0)
        assert open(t.postern.conf).read() == before and "[missing]" not in third.stdout.replace("TLS reports [missing]", ""), third.stdout
        assert t.doctor() == set() and t.send() == "250"
        wrong = []
        for name, change, id, code in FAULTS:
            t.publish(*change(home, reverse))
            told, reply = t.doctor(), t.send()
            if not any(i.startswith(id) for i in told) or code not in reply:
                wrong.append((name, told, reply))
        assert not wrong, "\n".join(map(str, wrong))
        t.publish(home, reverse)
        assert t.doctor() == set() and t.send() == "250"
    finally:
        t.close()


def test_setup_finds_the_name():
    """without --hostname the reverse name that leads back is taken; what the file says is kept; --json tells all"""
    t = Town(start=False)
    try:
        t.publish("relay 60 IN A 192.0.2.10", "10 60 IN PTR relay.sender.example.")
        r = json.loads(t.setup("--json", code=1).stdout)
        assert r["hostname"] == "relay.sender.example" and r["live"] is False and r["keys_made_for"] == HOME, r
        assert {x["state"] for x in r["records"] if x["type"] in ("A", "PTR")} == {"present"}, r
        t.publish("relay 60 IN A 192.0.2.10", "10 60 IN PTR other.sender.example.")
        r = json.loads(t.setup("--json", code=1).stdout)
        assert r["hostname"] == "relay.sender.example" and r["keys_made_for"] == "", r
    finally:
        t.close()


def test_setup_keeps_the_file():
    """comments, blocks and order stay; an existing SPF record is extended; a file with mistakes is not touched"""
    t = Town(start=False)
    try:
        text = open(t.postern.conf).read() + "# mine\nhostname old.sender.example # so\ntrust loopback {\n\tfrom *\n}\n"
        open(t.postern.conf, "w").write(text)
        t.publish('@ 60 IN TXT "v=spf1 mx ~all"', "")
        r = t.setup("--hostname", "new.sender.example", code=1)
        after = open(t.postern.conf).read()
        assert after == text.replace("hostname old.sender.example # so", "hostname new.sender.example"), after
        assert "v=spf1 ip4:192.0.2.10 mx ~all" in r.stdout and "you have: v=spf1 mx ~all" in r.stdout, r.stdout
        broken = text + "nonsense 1\n"
        open(t.postern.conf, "w").write(broken)
        t.setup(code=78)
        assert open(t.postern.conf).read() == broken
    finally:
        t.close()


def test_setup_without_answers():
    """no terminal and no --yes is told; nothing goes live while no name server answers"""
    t = Town(start=False)
    try:
        assert t.postern.run("setup", HOME).returncode == 2
        assert t.postern.run("setup", "--yes").returncode == 2
        assert t.postern.run("setup", HOME, "--yse", "--yes").returncode == 2
        t.nsd.stop()
        t.setup(code=75)
        assert "domains" not in open(t.postern.conf).read()
    finally:
        t.close()


def test_rotation():
    """new keys sign only once every name server shows them; the old ones are retired, and mail under way still verifies"""
    t = Town()
    try:
        home, reverse = pasted(t.setup("--hostname", "mail.sender.example", code=1).stdout)
        t.publish(home, reverse)
        t.setup(code=0)

        def states():
            rows = [json.loads(line) for line in t.postern.run("dkim", "list", "--json", check=0).stdout.splitlines()]
            return {r["selector"]: r["state"] for r in rows}

        def dns():
            rows = [json.loads(line) for line in t.postern.run("dkim", "list", "--json", check=0).stdout.splitlines()]
            return {r["selector"]: r["dns"] for r in rows}

        def wanted():
            rows = json.loads(t.postern.run("dns", "--json", "--source", SOURCE).stdout)
            return {r["name"].split(".")[0]: r["state"] for r in rows if r["what"] == "DKIM"}

        def signed_by():
            t.gmail.messages.clear()
            assert t.send() == "250"
            return set(re.findall(r"\bs=([\w-]+)", t.gmail.wait(1)[-1].data.decode().split("\r\n\r\n")[0]))
        old = set(states())
        assert len(old) == 2 and signed_by() == old, states()
        made = t.postern.run("dkim", "rotate", HOME, check=0).stdout
        fresh = set(states()) - old
        assert len(fresh) == 2 and all(states()[s] == "new" for s in fresh), states()
        assert signed_by() == old
        assert wanted() == {**{s: "present" for s in old}, **{s: "missing" for s in fresh}}, wanted()
        refused = t.postern.run("dkim", "activate", HOME)
        assert refused.returncode == 1 and "not published" in refused.stderr, refused.stderr
        assert signed_by() == old and all(states()[s] == "new" for s in fresh)
        assert all(dns()[s] == "right" for s in old) and all(dns()[s] == "missing" for s in fresh), dns()
        t.publish(home + "\n" + zone_lines(made).replace("p=MII", "p=MIJ"), reverse)
        assert sorted(dns()[s] for s in fresh) == ["differs", "right"] and sorted(states()[s] for s in fresh) == ["new", "published"], dns()
        assert t.postern.run("dkim", "activate", HOME).returncode == 1
        t.publish(home + "\n" + zone_lines(made), reverse)
        assert all(states()[s] == "published" for s in fresh), states()
        off = t.postern.run("dkim", "list", "--offline", check=0).stdout
        assert off.count(" new ") == 2 and off.count(" ? ") == 4 and "published" not in off, off
        t.postern.run("dkim", "activate", HOME, check=0)
        assert states() == {**{s: "retiring" for s in old}, **{s: "active" for s in fresh}}, states()
        assert signed_by() == fresh and wanted() == {s: "present" for s in old | fresh}, wanted()
        one = sorted(fresh)[0]
        t.postern.run("dkim", "retire", HOME, one, check=0)
        assert signed_by() == fresh - {one}
        last = t.postern.run("dkim", "retire", HOME, (fresh - {one}).pop())
        assert last.returncode == 1 and "last key" in last.stderr, last.stderr
        assert t.postern.run("dkim", "retire", HOME, "nobody").returncode == 3
        assert t.postern.run("dkim", "activate", HOME).returncode == 3
        for s in old:
            os.utime(f"{t.postern.dir}/state/dkim/{HOME}/{s}.pem.retired", (0, time.time() - 8 * 86400))
        assert all(states()[s] == "revoked" for s in old) and set(wanted()) == fresh, (states(), wanted())
    finally:
        t.close()


def test_setup_behind_nat():
    """--public-ip is kept in the configuration, so that dns and doctor see what the world sees; a second run changes nothing"""
    nsd = Nsd({"example": "", HOME: MX, REVERSE: ""})
    p = Postern(f"resolver 127.0.0.1@{nsd.port}\ndnssec off\n")
    try:
        r = p.run("setup", HOME, *FLAGS, "--hostname", "mail.sender.example")
        assert r.returncode == 1 and "outbound { public-ip 192.0.2.10 }" in open(p.conf).read(), r.stdout + r.stderr
        home, reverse = pasted(r.stdout)
        nsd.change({HOME: MX + "\n" + home, REVERSE: reverse})
        again = p.run("setup", HOME, "--yes", "--no-wait")
        text = open(p.conf).read()
        assert "Port 25    not known: " in again.stdout, again.stdout
        assert "Mode       live" in again.stdout and text.count("public-ip") == 1 and f"domains {HOME}" in text, again.stdout + again.stderr
        assert "192.0.2.10" in p.run("dns").stdout
        states = {x["state"] for x in json.loads(p.run("dns", "--json").stdout) if not x["optional"]}
        assert states == {"present"}, states
        p.run("setup", HOME, *FLAGS)
        assert open(p.conf).read() == text
    finally:
        p.close()
        nsd.close()


def test_setup_in_a_dialogue():
    """on a terminal: the records, Enter, a bar until they are visible, live, and what capture mode held goes out on a y"""
    t = Town()
    try:
        t.postern.send(SENDER, ["b@receiver.example"], letter("b@receiver.example"))
        leader, follower = pty.openpty()
        said = bytearray()
        child = subprocess.Popen([BIN, "setup", "-c", t.postern.conf, HOME, "--public-ip", SOURCE, "--hostname", "mail.sender.example"],
                                 stdin=follower, stdout=follower, stderr=follower, env=t.postern.env, start_new_session=True)
        os.close(follower)

        def hear(words):
            def heard():
                while select.select([leader], [], [], 0)[0]:
                    try:
                        said.extend(os.read(leader, 65536))
                    except OSError:
                        break
                return words in said.decode(errors="replace")
            until(heard, f"{words!r} in {said.decode(errors='replace')}")
        hear("press Enter")
        assert "domains" not in open(t.postern.conf).read()
        t.publish(*pasted(said.decode().replace("\r\n", "\n")))
        os.write(leader, b"\n")
        hear("release them? [y/N]")
        assert "of 4 visible" in said.decode() and "Mode       live" in said.decode(), said.decode()
        os.write(leader, b"y\n")
        t.gmail.wait(1)
        assert child.wait(PATIENCE_S) == 0, said.decode()
        assert t.gmail.verdicts == ["250"], t.gmail.verdicts
    finally:
        t.close()


def test_records_of_others():
    """dns names whom to ask for the reverse name, and the consent that reports to another domain need"""
    t = Town(start=False)
    try:
        t.publish('_dmarc 60 IN TXT "v=DMARC1; p=reject; rua=mailto:a@sender.example,mailto:b@receiver.example!5m,mailto:c@gmail.com"', "")
        t.nsd.change({"gmail.com": t.nsd.zones["gmail.com"] + '\nsender.example._report._dmarc 60 IN TXT "v=DMARC1"'})

        def dns(*args):
            return t.postern.run("dns", HOME, "--source", SOURCE, *args)
        rows = json.loads(dns("--json").stdout)
        assert [(r["name"], r["state"], r["value"]) for r in rows if "consent" in r["what"]] == [
            ("sender.example._report._dmarc.receiver.example", "missing", "v=DMARC1"),
            ("sender.example._report._dmarc.gmail.com", "present", "v=DMARC1")], rows
        assert [r["whom"] for r in rows if r["type"] == "PTR"] == ["the zone 2.0.192.in-addr.arpa is served by ns.2.0.192.in-addr.arpa"], rows
        assert "; set by the provider of the address: in his panel, or ask him; the zone 2.0.192.in-addr.arpa is served by" in dns().stdout
        assert "    whom   the zone 2.0.192.in-addr.arpa is served by" in dns("--format", "panel").stdout
        with open(f"{t.postern.dir}/zone", "w") as f:
            f.write(dns("--zone").stdout)
        r = subprocess.run(["/usr/bin/named-checkzone", HOME, f.name], capture_output=True, text=True)
        assert r.returncode == 0, r.stdout
    finally:
        t.close()
