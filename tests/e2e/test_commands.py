# SPDX-License-Identifier: ISC
import json
import os
import re
import subprocess
import time

from house import BIN, Postern, clean_environment, until
from world import LOGINS, SENDER, letter, mx_zone, world

ONE = {"a.example": mx_zone([(10, "mx1", "127.0.0.2")])}


def test_check_tells_all_errors():
    """`check` prints all errors at once with place, caret and suggestion, exit 78"""
    p = Postern("hostnam mail.example.com\nlisten :587 startls auth\ntrust 0.0.0.0/0\nmax-size 50X\nrelayhost smtp.example.com\n")
    try:
        r = p.run("check")
        out = r.stdout + r.stderr
        assert r.returncode == 78
        for words in ('did you mean "hostname"', 'did you mean "starttls"', "i-know-this-is-an-open-relay", "50X", '"route"', "^"):
            assert words in out, (words, out)
        base = p.base.count("\n")
        for line, column in ((1, 1), (2, 13), (3, 7), (4, 10), (5, 1)):
            assert re.search(rf"postern\.conf:{base + line}:{column}: error", out), (line, out)
        assert "5 errors" in out, out
        r = p.run("run")
        assert r.returncode == 78 and "5 errors" in r.stdout + r.stderr
        p.configure("hostname mail.example.com\ndomains example.com\n")
        p.run("check", check=0)
        r = subprocess.run([BIN, "check", "-c", p.conf], env=clean_environment(POSTERN_TRUSTT="x"), capture_output=True, text=True)
        assert r.returncode == 78 and "POSTERN_TRUST" in r.stdout + r.stderr, r
    finally:
        p.close()


def test_open_relay_does_not_start():
    """a public listener without TLS and users, and a trust of everybody, do not start"""
    for config in ("domains example.com\nhostname m.example.com\nlisten 0.0.0.0:2599", "domains example.com\nhostname m.example.com\ntrust ::/0"):
        p = Postern(config)
        try:
            assert p.run("run").returncode == 78, config
        finally:
            p.close()


def test_missing_sasl_module():
    """without libsasl2's modules a configuration with users does not start, and the package is named"""
    p = Postern("hostname mail.example.com\ndomains example.com\n", env={"SASL_PATH": "/nonexistent"})
    try:
        p.run("check", check=0)
        p.configure(f"hostname mail.example.com\ndomains example.com\nusers {p.dir}/users\n")
        with open(f"{p.dir}/users", "w") as f:
            os.chmod(f.name, 0o600)
        for verb in ("check", "run"):
            r = p.run(verb, check=78)
            assert "libsasl2-modules" in r.stdout + r.stderr, r
    finally:
        p.close()


def test_config_show():
    """`config show` prints values with their origin"""
    p = Postern("hostname mail.example.com\ndomains example.com", env={"POSTERN_MAX_SIZE": "10M"})
    try:
        out = p.run("config", "show", check=0).stdout
        assert re.search(r"hostname\s+mail\.example\.com\s+.*postern\.conf:\d+", out), out
        assert re.search(r"max-size\s+10M\s+.*POSTERN_MAX_SIZE", out), out
        rows = [json.loads(line) for line in p.run("config", "show", "--all", "--json", check=0).stdout.splitlines()]
        assert any(r["name"] == "expire" and r["origin"] == "default" for r in rows), rows
    finally:
        p.close()


def test_explain():
    """`explain` says what would happen and which line decided"""
    with world(zones=ONE) as w:
        r = w.postern.run("explain", "--client", "127.0.0.1", "--from", SENDER, "--to", "b@a.example", check=0)
        assert "sender.example" in r.stdout and "s1" in r.stdout and "a.example" in r.stdout and "postern.conf:" in r.stdout, r.stdout
        r = w.postern.run("explain", "--client", "203.0.113.9", "--from", SENDER, "--to", "b@a.example", check=1)
        assert "203.0.113.9" in r.stdout + r.stderr and "trust" in r.stdout + r.stderr, r


def test_queue_commands():
    """list, show, cat, hold, release, retry, delete; by id, prefix and filter; also with the daemon stopped"""
    with world(zones={**ONE, "c.example": mx_zone([(10, "mx1", "127.0.0.3")])}, config="retry 1h") as w:
        sent = letter()
        w.postern.send(SENDER, ["b@a.example"], sent)
        w.postern.send(SENDER, ["b@c.example"], letter())
        w.postern.wait_event("deferred", 2)
        rows = w.postern.queue()
        assert len(rows) == 2 and all(r["state"] == "deferred" and r["from"] == SENDER for r in rows), rows
        only = w.postern.queue("--domain", "a.example")
        assert len(only) == 1 and "b@a.example" in json.dumps(only[0]), only
        id = only[0]["id"]
        assert w.postern.run("queue", "cat", id, check=0).stdout.encode().replace(b"\n", b"\r\n").endswith(sent) or \
            subprocess.run([BIN, "queue", "cat", id, "-c", w.postern.conf], capture_output=True).stdout.endswith(sent)
        assert id in w.postern.run("queue", "show", id[:7], check=0).stdout
        assert w.postern.run("queue", "show", "zzzzz").returncode == 3
        w.postern.run("queue", "hold", id, check=0)
        assert [r["state"] for r in w.postern.queue("--domain", "a.example")] == ["held"]
        w.postern.stop()
        rows = w.postern.queue()
        assert len(rows) == 2, rows
        offline = subprocess.run([BIN, "queue", "cat", id, "-c", w.postern.conf], capture_output=True, env=w.postern.env)
        assert offline.returncode == 0 and offline.stdout.endswith(sent), offline
        w.postern.start()
        assert sorted(r["state"] for r in w.postern.queue()) == ["deferred", "held"]
        w.postern.run("queue", "release", id, check=0)
        w.postern.run("queue", "delete", "--domain", "c.example", check=0)
        assert len(w.postern.queue()) == 1
        from receiver import Receiver
        w.receivers["127.0.0.2"] = Receiver("127.0.0.2", w.port)
        w.postern.run("queue", "retry", "--all", check=0)
        w.receivers["127.0.0.2"].wait(1)
        until(lambda: w.postern.queue() == [], what="empty queue")


def test_pause_and_resume():
    """`pause` stops deliveries and keeps accepting, over a restart; `resume` lets them go"""
    with world(zones=ONE, receivers={"127.0.0.2": {}}) as w:
        w.postern.run("pause", check=0)
        w.postern.send(SENDER, ["b@a.example"], letter())
        w.postern.stop()
        w.postern.start()
        w.postern.send(SENDER, ["b@a.example"], letter())
        time.sleep(1)
        assert not w.receivers["127.0.0.2"].messages
        w.postern.run("resume", check=0)
        w.receivers["127.0.0.2"].wait(2)


def test_status_and_readyz():
    """status names mode, queue, roles and listeners; readyz follows the daemon"""
    with world(zones=ONE, config=LOGINS) as w:
        status = w.postern.status()
        assert status["mode"] == "live" and status["queue_messages"] == 0, status
        roles = {r["role"] if isinstance(r, dict) else r for r in status["roles"]}
        assert {"smtpd", "auth", "queue", "delivery", "keyd"} <= roles, status
        assert str(w.postern.port) in json.dumps(status["listeners"]), status
        w.postern.run("status", check=0)
        w.postern.run("readyz", check=0)
        w.postern.stop()
        assert w.postern.run("readyz").returncode == 69
        r = w.postern.run("status")
        assert r.returncode == 69 and "postern run" in r.stderr, r


def test_dkim_new_and_list():
    """`dkim new` makes two keys, 0600, prints both forms of the record, and never overwrites"""
    with world(zones=ONE, dkim=False, start=False) as w:
        out = w.postern.run("dkim", "new", "sender.example", "--selector", "x1", check=0).stdout
        assert "x1._domainkey.sender.example." in out and "v=DKIM1; k=rsa; p=" in out and "k=ed25519" in out, out
        assert max(len(s) for s in re.findall(r'"([^"]*)"', out) if "panel" not in s) >= 200
        for folder, _, files in os.walk(w.postern.dir + "/state/dkim"):
            for f in files:
                assert os.stat(f"{folder}/{f}").st_mode & 0o777 == 0o600, f
        assert w.postern.run("dkim", "new", "sender.example", "--selector", "x1").returncode == 1
        rows = [json.loads(line) for line in w.postern.run("dkim", "list", "--json", check=0).stdout.splitlines()]
        assert {r["type"] for r in rows} == {"rsa", "ed25519"} and all(r["domain"] == "sender.example" for r in rows), rows


def test_users():
    """user add makes a password or takes one; list; rm; the daemon notices without a reload"""
    with world(zones=ONE, start=False) as w:
        w.postern.configure(w.config + f"users {w.postern.dir}/users\n")
        out = w.postern.run("user", "add", "app1", check=0).stdout
        assert re.search(r"password \S{24,}", out), out
        w.postern.run("user", "add", "app2", "--from", "*@shop.sender.example", "--password-file", "-", stdin="geheim\n", check=0)
        text = open(w.postern.dir + "/users").read()
        assert "geheim" not in text and text.count("SCRAM-SHA-256$") == 2
        assert os.stat(w.postern.dir + "/users").st_mode & 0o777 == 0o600
        assert "*@shop.sender.example" in w.postern.run("user", "list", check=0).stdout
        w.postern.run("check", check=0)
        w.postern.run("user", "rm", "app1", check=0)
        assert w.postern.run("user", "rm", "app1").returncode == 3


def test_send():
    """`send --to` sends a test mail and says what became of it"""
    with world(zones=ONE, receivers={"127.0.0.2": {}}) as w:
        def sent():
            r = w.postern.run("send", "--to", "b@a.example", "--from", SENDER)
            return r if r.returncode != 75 else None  # 75: the machine stood still, and DNS was too slow
        r = until(sent, "mail that is sent at once")
        w.receivers["127.0.0.2"].wait(1)
        assert r.returncode == 0, r
        assert "250" in r.stdout and "mx1.a.example" in r.stdout, r.stdout
        r = w.postern.run("send", "--to", "b@nx.a.example", "--from", SENDER, check=1)
        assert "5.1.2" in r.stdout + r.stderr, r


def test_log_is_json_too():
    """`log json` writes the same events with the same keys"""
    with world(zones=ONE, receivers={"127.0.0.2": {}}, config="log json", start=False) as w:
        w.postern.start(wait=False)

        def events(name):
            lines = [json.loads(line) for line in w.postern.log().splitlines() if line.startswith("{")]
            return [e for e in lines if e["ev"] == name]
        until(lambda: events("ready"), what="ready")
        w.postern.send(SENDER, ["b@a.example"], letter())
        until(lambda: events("delivered"), what="delivered")
        assert events("accept")[0]["from"] == SENDER and events("delivered")[0]["code"] == 250


def test_usage_errors():
    """unknown verbs and options exit 2, help exits 0"""
    for args, code in (([], 2), (["nonsense"], 2), (["status", "--nonsense"], 2), (["--help"], 0), (["queue", "--help"], 0), (["version"], 0)):
        r = subprocess.run([BIN, *args], capture_output=True, text=True, env=clean_environment())
        assert r.returncode == code, (args, r)
