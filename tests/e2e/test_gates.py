# SPDX-License-Identifier: ISC
"""Keys that sign only once published, and the doctor inside the daemon: what it says, and what waits for it."""

import json
import os
import signal
import socket
import time
from contextlib import contextmanager
from functools import partial

from house import Skip, certificate, until
from receiver import Receiver
from world import World, letter, mx_zone, world, zone_lines
from zones import IllServer

HERE = "203.0.113.7"
REVERSE = "113.0.203.in-addr.arpa"
GOOD_PTR = {REVERSE: "7 5 IN PTR mail.sender.example."}
GOOD = f"mail 60 IN A {HERE}\n@ 60 IN TXT \"v=spf1 ip4:{HERE} -all\"\n@ 60 IN MX 10 mx\nmx 60 IN A 127.0.0.9"
A = {"a.example": mx_zone([(10, "mx1", "127.0.0.2")])}
RECEIVER = {"127.0.0.2": {}}


world = partial(world, retry=None)  # what waits for a gate is told when it opens


def doctor(w):
    return w.postern.status().get("doctor", {})


def finding(w, check):
    return [f for f in doctor(w).get("findings", []) if f["id"] == check]


def examined(w, count=1):
    return until(lambda: doctor(w).get("exams", 0) >= count and "age_ms" in doctor(w) and doctor(w), "exam")


def publish(w, lines):
    w.nsd.change({"sender.example": w.zones["sender.example"] + "\n" + lines})


def held(w, why):
    return w.postern.wait_event("deferred", why=why)[0]


def received(w, count=1):
    return w.receivers["127.0.0.2"].wait(count, 300)


def new_key(w):
    return zone_lines(w.postern.run("dkim", "new", "sender.example", "--selector", "s1", check=0).stdout)


def test_a_key_published_late():
    """Mail waits, says why, and goes signed as soon as the record is there."""
    with world(zones=A, receivers=RECEIVER, dkim=False, start=False) as w:
        records = new_key(w)
        w.postern.start()
        w.postern.send("app@sender.example", ["b@a.example"], letter())
        e = held(w, "key-not-published")
        assert e["dsn"] == "4.7.20" and "s1._domainkey.sender.example" in e["msg"] and "not published" in e["msg"], e
        row, = w.postern.queue()
        assert e["try"] == "0" and row["tries"] == 0 and row["state"] == "deferred" and row["why"], (e, row)
        assert not w.receivers["127.0.0.2"].messages
        keys = {k["name"]: k for k in doctor(w)["keys"]}
        assert not keys["s1._domainkey.sender.example"]["published"], keys
        assert "KEY THAT DOES NOT SIGN" in w.postern.run("status", check=0).stdout
        w.postern.wait_event("key-not-published", key="s1._domainkey.sender.example")
        publish(w, records)
        data = received(w)[0].data
        assert b"DKIM-Signature:" in data and data.count(b"d=sender.example") == 2
        w.postern.wait_event("key-published", key="s1._domainkey.sender.example")
        w.postern.wait_event("delivered", dkim="sender.example/s1,s1e", **{"try": "1"})


def test_another_key_is_published():
    with world(zones=A, receivers=RECEIVER, dkim=False, start=False) as w:
        other = World(start=False, dkim=False)
        try:
            records = new_key(other)
        finally:
            other.close()
        new_key(w)
        publish(w, records)
        w.postern.start()
        w.postern.send("app@sender.example", ["b@a.example"], letter())
        assert "DNS has another key" in held(w, "key-not-published")["msg"]
        assert all("another key" in k["why"] for k in doctor(w)["keys"] if not k["published"])
        examined(w)
        assert finding(w, "dkim.match")[0]["status"] == "fail"
        w.postern.wait_event("check", id="dkim.match", status="fail")
        time.sleep(1)
        assert not w.receivers["127.0.0.2"].messages


def test_one_key_of_two_signs_alone():
    with world(zones=A, receivers=RECEIVER, dkim=False, start=False) as w:
        records = new_key(w)
        publish(w, records[records.index("s1e."):])
        w.postern.start()
        w.postern.send("app@sender.example", ["b@a.example"], letter())
        assert received(w)[0].data.count(b"DKIM-Signature:") == 1
        w.postern.wait_event("delivered", dkim="sender.example/s1e")


def test_unsigned_by_choice():
    """A block without a key is about those in the state folder."""
    with world(zones=A, receivers=RECEIVER, dkim=False, start=False, config="dkim sender.example { unpublished unsigned }") as w:
        new_key(w)
        w.postern.start()
        w.postern.send("app@sender.example", ["b@a.example"], letter())
        assert b"DKIM-Signature" not in received(w)[0].data
        e = w.postern.wait_event("delivered")[0]
        assert e["dkim"] == "none why=key-not-published", e


def test_a_key_that_was_seen_outlives_its_name_server():
    # On loopback nobody looks up a key, so the way out is a name; one worker, which has that in its cache, too.
    with world(zones={"sender.example": "mx 600 IN A 127.0.0.2"}, receivers=RECEIVER,
               config="route a.example { via mx.sender.example:{port} }\ndelivery-processes 1") as w:
        w.postern.send("app@sender.example", ["b@a.example"], letter())
        received(w)
        w.nsd.stop()
        w.postern.send("app@sender.example", ["b@a.example"], letter())
        assert b"DKIM-Signature" in received(w, 2)[1].data


def test_a_key_that_was_seen_outlives_a_restart():
    """Seen, then a start while DNS is silent: it signs. What was seen more than a week ago has to be seen again."""
    with world(zones=A, receivers=RECEIVER, start=False) as w:
        resolver = IllServer(w.nsd, [])
        try:
            w.postern.configure(w.config.replace(f"@{w.nsd.port}", f"@{resolver.port}"))
            w.postern.start()
            w.postern.send("app@sender.example", ["b@a.example"], letter())
            assert b"DKIM-Signature" in received(w)[0].data
            for kill in (False, True):
                w.postern.kill() if kill else w.postern.stop()
                resolver.ills = [("_domainkey.sender.example", None, "silent")]
                w.postern.start()
                w.postern.send("app@sender.example", ["b@a.example"], letter())
                assert b"DKIM-Signature" in received(w, 2 + kill)[1 + kill].data
            w.postern.stop()
            path = f"{w.postern.dir}/state/keys-seen"
            with open(path) as f:
                lines = f.read().splitlines()
            assert lines[0].startswith("at ") and len(lines) == 3, lines
            with open(path, "w") as f:
                f.write("\n".join([f"at {int(time.time() - 8 * 86400) * 1000}", *lines[1:]]) + "\n")
            w.postern.start()
            w.postern.send("app@sender.example", ["b@a.example"], letter())
            assert "may not sign" in w.postern.wait_event("deferred")[0]["msg"]
            resolver.ills = []
            assert b"DKIM-Signature" in received(w, 4)[3].data
        finally:
            resolver.close()


def test_a_host_of_ones_own_needs_no_dns():
    """A route to loopback: a test host. Nobody looks the key up, so nobody waits for it."""
    with world(receivers=RECEIVER, dkim=False, start=False, config="route * { via 127.0.0.2:{port} }") as w:
        new_key(w)
        w.nsd.stop()
        w.postern.start()
        w.postern.send("app@sender.example", ["b@a.example"], letter())
        assert b"DKIM-Signature" in received(w)[0].data


@contextmanager
def gated(config="", zone=GOOD, ptr=GOOD_PTR, outbound=f"ipv6 off  public-ip {HERE}", receivers=RECEIVER, **zones):
    """A world whose postern believes that it sends from a public address; not started."""
    with world(zones={**A, "sender.example": zone, **ptr, **zones.get("zones", {})}, receivers=receivers, dkim=False, start=False) as w:
        w.config = w.config.replace("ipv6 off", outbound) + config + "\n"
        w.postern.configure(w.config)
        yield w


def start_signed(w):
    w.publish_key("sender.example")
    w.postern.start()


def test_the_doctor_in_the_daemon():
    with gated(config="preflight advise", zone=GOOD.replace("-all", "?all")) as w:
        cert, key = certificate(w.postern.dir, "mail.sender.example")
        w.postern.configure(w.config + f"tls {cert} {key}\n")
        start_signed(w)
        d = examined(w)
        assert d["preflight"] == "advise" and d["pass"] > 5, d
        checks = {c["id"]: c for c in d["checks"]}
        assert checks["ptr.exists"]["pass"] == 1 and checks["spf.auth"]["pass"] == 1 and checks["dkim.match"]["pass"] == 2, checks
        assert checks["tls.cert"]["pass"] == 1 and checks["dkim.bits"]["pass"] == checks["dkim.age"]["pass"] == 2, checks
        assert not any(i.startswith("relay.") or i in ("fs", "dkim.sign") for i in checks), sorted(checks)
        assert finding(w, "spf.all")[0]["status"] == "warn"
        text = w.postern.run("status", check=0).stdout
        assert "checks: " in text and "spf.all" in text, text
        w.postern.wait_event("check", id="spf.all", status="warn")
        until(lambda: not w.postern.role_pids("doctor"), "the doctor is gone")
        before = len(w.postern.events("check"))
        w.postern.run("reload", check=0)
        examined(w, 2)
        assert len(w.postern.events("check")) == before, "only what has changed is logged"


def test_advise_only_says():
    with gated(ptr={REVERSE: ""}) as w:
        start_signed(w)
        examined(w)
        assert finding(w, "ptr.exists")[0]["status"] == "fail"
        w.postern.send("app@sender.example", ["b@a.example"], letter())
        received(w)


def test_enforce_without_a_reverse_name():
    """Mail waits, and goes on by itself when the name is there."""
    with gated(config="preflight enforce", ptr={REVERSE: ""}) as w:
        start_signed(w)
        examined(w)
        w.postern.send("app@sender.example", ["b@a.example"], letter())
        e = w.postern.wait_event("deferred", why="preflight", dsn="4.7.25")[0]
        assert "reverse name" in e["msg"], e
        assert not w.receivers["127.0.0.2"].messages
        w.nsd.change(GOOD_PTR)
        received(w)
        w.postern.wait_event("check", id="ptr.exists", status="pass", was="fail")


def test_enforce_without_spf():
    with gated(config="preflight enforce", zone=GOOD.replace(HERE + " -all", "203.0.113.99 -all")) as w:
        start_signed(w)
        examined(w)
        w.postern.send("app@sender.example", ["b@a.example"], letter())
        w.postern.wait_event("deferred", why="preflight", dsn="4.7.23")
        assert not w.receivers["127.0.0.2"].messages
        w.zones["sender.example"] = GOOD
        w.publish_key("sender.example", "s2")
        w.postern.run("reload", check=0)
        received(w)


def test_enforce_waits_for_the_first_exam():
    with gated(config="preflight enforce") as w:
        start_signed(w)
        w.postern.send("app@sender.example", ["b@a.example"], letter())
        received(w)


def test_preflight_off():
    with gated(config="preflight off", ptr={REVERSE: ""}) as w:
        start_signed(w)
        w.postern.send("app@sender.example", ["b@a.example"], letter())
        received(w)
        time.sleep(5)
        assert doctor(w)["exams"] == 0
        assert "preflight off" in w.postern.run("status", check=0).stdout


def test_capture_makes_no_exams():
    with world(live=False, dkim=False) as w:
        time.sleep(5)
        assert doctor(w)["exams"] == 0


def ipv6_receiver(w):
    try:
        w.receivers["::1"] = Receiver("::1", w.port)
    except OSError:
        raise Skip("no IPv6 on loopback")
    return w.receivers["::1"]


SIX = "2001:db8::7"
SIX_REVERSE = "8.b.d.0.1.0.0.2.ip6.arpa"
SIX_PTR = "7." + "0." * 23 + SIX_REVERSE


def test_ipv6_waits_for_its_checks():
    """auto: IPv4 until PTR and SPF of the IPv6 address pass, then IPv6, which the MX prefers."""
    if not socket.has_ipv6:
        raise Skip("no IPv6")
    zone = GOOD + f"\nmail 60 IN AAAA {SIX}"
    a = {"a.example": mx_zone([(5, "mx6", "::1"), (10, "mx1", "127.0.0.2")])}
    with gated(zone=zone, zones={**a, SIX_REVERSE: ""}, outbound=f"ipv6 auto  public-ip {HERE} {SIX}") as w:
        six = ipv6_receiver(w)
        start_signed(w)
        examined(w)
        w.postern.send("app@sender.example", ["b@a.example"], letter())
        received(w)
        assert not six.messages
        assert finding(w, "ptr.exists")[0]["subject"] == SIX
        w.zones["sender.example"] = zone.replace("-all", f"ip6:{SIX} -all")
        w.nsd.zones[SIX_REVERSE] = f"{SIX_PTR}. 60 IN PTR mail.sender.example."
        w.publish_key("sender.example", "s2")
        w.postern.run("reload", check=0)
        count = doctor(w)["exams"]
        examined(w, count + 1)
        until(lambda: not finding(w, "ptr.exists") and not finding(w, "spf.auth"), "IPv6 passes")
        w.postern.send("app@sender.example", ["b@a.example"], letter())
        until(lambda: six.messages, "mail over IPv6")


def test_enforce_goes_over_the_family_that_passes():
    """The reverse name of our IPv4 address fails, IPv6 is in order: who can be reached over IPv6 gets his mail, others wait."""
    if not socket.has_ipv6:
        raise Skip("no IPv6")
    zone = GOOD.replace("-all", f"ip6:{SIX} -all") + f"\nmail 60 IN AAAA {SIX}"
    zones = {"a.example": mx_zone([(5, "mx1", "127.0.0.2"), (10, "mx6", "::1")]), "b.example": mx_zone([(10, "mx1", "127.0.0.2")]),
             SIX_REVERSE: f"{SIX_PTR}. 60 IN PTR mail.sender.example."}
    with gated(config="preflight enforce", zone=zone, ptr={REVERSE: ""}, zones=zones, outbound=f"ipv6 auto  public-ip {HERE} {SIX}") as w:
        six = ipv6_receiver(w)
        start_signed(w)
        examined(w)
        w.postern.send("app@sender.example", ["b@a.example", "b@b.example"], letter())
        assert six.wait(1)[0].rcpts == ["b@a.example"]
        e = w.postern.wait_event("deferred", to="b@b.example")[0]
        assert e["why"] == "preflight" and e["dsn"] == "4.7.25" and e["try"] == "0" and "no mail host with IPv6" in e["msg"], e
        assert not w.receivers["127.0.0.2"].messages
        w.nsd.change(GOOD_PTR)
        assert received(w)[0].rcpts == ["b@b.example"]


def test_a_receiver_that_doubts():
    """A refusal for a missing PTR: the check is made again at once, and its result stands beside the reply."""
    answer = "550 5.7.25 [203.0.113.7] The IP address sending this message does not have a PTR record setup"
    with gated(ptr={REVERSE: ""}, receivers={"127.0.0.2": {"data": lambda message: answer}}) as w:
        start_signed(w)
        examined(w)
        w.postern.send("app@sender.example", ["b@a.example"], letter())
        bounced = w.postern.wait_event("bounced")[0]
        e = w.postern.wait_event("recheck", id=bounced["id"])[0]
        assert "PTR record" in e["reply"] and "ptr.exists=fail" in e["checks"] and "spf" not in e["checks"], e
        assert e["why"].startswith(HERE), e
        w.postern.send("app@sender.example", ["b@a.example"], letter())
        w.postern.wait_event("bounced", count=2)
        time.sleep(3)
        assert len(w.postern.events("recheck")) == 1, "one in a minute is enough"


def test_a_doctor_that_hangs():
    """Stopped in the middle of an exam, it is ended when its time is up."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        with gated() as w:
            w.postern.configure(w.config.replace(f"@{w.nsd.port}", f"@{silent.getsockname()[1]}"))
            w.postern.start()
            pid = until(lambda: w.postern.role_pids("doctor"), "a doctor")[0]
            os.kill(pid, signal.SIGSTOP)
            e = w.postern.wait_event("doctor-failed")[0]
            assert "signal 9" in e["why"], e
            assert not w.postern.role_pids("doctor")


def test_a_doctor_that_dies_harms_nothing():
    """Killed in the middle of an exam: a line in the log, the next one later, and mail goes on."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        with gated(config="preflight enforce\nroute a.example { via 127.0.0.2:{port} }") as w:
            w.postern.configure(w.config.replace(f"@{w.nsd.port}", f"@{silent.getsockname()[1]}").replace("{port}", str(w.port)))
            w.postern.start()
            others = w.postern.role_pids("delivery")
            os.kill(until(lambda: w.postern.role_pids("doctor"), "a doctor")[0], signal.SIGKILL)
            e = w.postern.wait_event("doctor-failed")[0]
            assert "signal 9" in e["why"] and float(e["next"]) >= 60, e
            assert doctor(w)["failed_exams"] == 1 and w.postern.role_pids("delivery") == others
            w.postern.send("app@sender.example", ["b@a.example"], letter())
            received(w)
            w.postern.run("readyz", check=0)
