# SPDX-License-Identifier: ISC
import base64
import json
import os
import re
import signal
import smtplib
import socket
import ssl
import subprocess
import time

from house import BIN, BUILD, PATIENCE_S, Postern, Skip, certificate, free_port, until
from world import SENDER, letter, mx_zone, world

ONE = {"a.example": mx_zone([(10, "mx1", "127.0.0.2")])}


class Office:
    """A world whose postern has users and three listeners: plain loopback, STARTTLS + AUTH, implicit TLS + AUTH."""

    def __init__(self, config="", **arguments):
        self.world = world(zones=ONE, receivers={"127.0.0.2": {}}, start=False, **arguments)
        self.config = config

    def __enter__(self):
        w = self.world.__enter__()
        w.submission, w.smtps = free_port(), free_port()
        w.cert, key = certificate(w.postern.dir, "mail.sender.example", "localhost")
        w.postern.configure(w.config + f"tls {w.cert} {key}\nusers {w.postern.dir}/users\nlisten 127.0.0.1:{w.submission} starttls auth auth-required\n"
                            f"listen 127.0.0.1:{w.smtps} tls auth auth-required\n" + self.config)
        open(f"{w.postern.dir}/users", "a").close()
        os.chmod(f"{w.postern.dir}/users", 0o600)
        w.postern.run("user", "add", "app1", "--password-file", "-", stdin="secret one\n", check=0)
        w.postern.start()
        w.context = ssl.create_default_context(cafile=w.cert)
        return w

    def __exit__(self, *e):
        return self.world.__exit__(*e)


def test_logins_by_reload():
    """no auth runs while nobody can log in; a reload with users starts it, one without them ends it"""
    with Office() as w:
        users, usual = f"users {w.postern.dir}/users\n", open(w.postern.conf).read()

        def reload_to(text):
            with open(w.postern.conf, "w") as f:
                f.write(text)
            w.postern.run("reload", check=0)

        assert w.postern.role_pids("auth")
        reload_to(usual.replace(users, "").replace(" auth auth-required", ""))
        until(lambda: not w.postern.role_pids("auth"), "the end of auth")
        w.postern.run("readyz", check=0)
        assert "auth" not in [r["role"] for r in w.postern.status()["roles"]]
        with w.postern.smtp(w.submission) as s:
            s.starttls(context=w.context)
            s.ehlo()
            assert "auth" not in s.esmtp_features, s.esmtp_features
        reload_to(usual)
        w.postern.run("readyz", check=0)
        with w.postern.smtp(w.submission) as s:
            s.starttls(context=w.context)
            s.login("app1", "secret one")
            s.sendmail(SENDER, ["b@a.example"], letter())
        assert not w.postern.events("role-died"), w.postern.events("role-died")


def test_starttls_and_auth():
    """smtplib submits with STARTTLS and AUTH; without AUTH, TLS or the right password nothing is taken"""
    with Office() as w:
        with w.postern.smtp(w.submission) as s:
            s.ehlo()
            assert "starttls" in s.esmtp_features
            code, text = s.docmd(f"MAIL FROM:<{SENDER}>")
            assert code == 530, (code, text)
            s.starttls(context=w.context)
            s.ehlo()
            assert set(s.esmtp_features["auth"].split()) >= {"PLAIN", "LOGIN", "SCRAM-SHA-256"}, s.esmtp_features
            try:
                s.login("app1", "wrong")
                raise AssertionError("logged in with a wrong password")
            except smtplib.SMTPAuthenticationError as e:
                assert e.smtp_code == 535
        with w.postern.smtp(w.submission) as s:
            s.starttls(context=w.context)
            s.login("app1", "secret one")
            s.sendmail(SENDER, ["b@a.example"], letter())
        got = w.receivers["127.0.0.2"].wait(1)[0]
        assert b"ESMTPSA" in got.data.split(b"\r\nFrom:")[0]
        line = w.postern.wait_event("auth-fail")[0]
        assert line["user"] == "app1" and line["ip"] == "127.0.0.1" and "wrong" not in w.postern.log().replace("wrong password", ""), line
        assert w.postern.wait_event("accept")[0]["user"] == "app1"


def test_implicit_tls_and_auth():
    """port 465: TLS from the first octet, AUTH LOGIN and PLAIN"""
    with Office() as w:
        for login in ("login", "plain"):
            with smtplib.SMTP_SSL("127.0.0.1", w.smtps, context=w.context, timeout=PATIENCE_S) as s:
                s.ehlo()
                s.user, s.password = "app1", "secret one"
                s.auth(login.upper(), getattr(s, "auth_" + login))
                s.sendmail(SENDER, ["b@a.example"], letter())
        w.receivers["127.0.0.2"].wait(2)


def test_scram_by_swaks():
    """swaks submits: loopback plain, STARTTLS + AUTH, TLS + AUTH"""
    with Office() as w:
        base = ["swaks", "--from", SENDER, "--to", "b@a.example", "--server", "127.0.0.1", "--helo", "client.example"]
        auth = ["-au", "app1", "-ap", "secret one"]
        for more in ([f"-p{w.postern.port}"], [f"-p{w.submission}", "-tls", "-a", "PLAIN", *auth], [f"-p{w.smtps}", "-tlsc", "-a", "LOGIN", *auth],
                     [f"-p{w.postern.port}", "--pipeline"]):
            more = ["--port", more[0][2:], *more[1:]]
            out = subprocess.run(base + more, capture_output=True, text=True, timeout=PATIENCE_S)
            assert out.returncode == 0, out.stdout + out.stderr
        assert len(w.receivers["127.0.0.2"].wait(4)) == 4


def test_nodemailer():
    """nodemailer submits on all three listeners"""
    modules = f"{BUILD}/peers/node/node_modules"
    if not os.path.isdir(modules + "/nodemailer"):
        raise Skip("no nodemailer: tests/peers could not fetch it")
    script = """
      const n = require('nodemailer'); const [ports, ca] = JSON.parse(process.argv[1]);
      const tls = {ca: require('fs').readFileSync(ca), servername: 'mail.sender.example'}, auth = {user: 'app1', pass: 'secret one'};
      (async () => { for (const o of [{port: ports[0]}, {port: ports[1], requireTLS: true, tls, auth}, {port: ports[2], secure: true, tls, auth}])
        await n.createTransport({host: '127.0.0.1', ...o}).sendMail({from: 'app@sender.example', to: 'b@a.example', subject: 's', text: 'grüße', html: '<p>x'});
      })().catch(e => { console.error(e); process.exit(1); });"""
    with Office() as w:
        out = subprocess.run(["node", "-e", script, json.dumps([[w.postern.port, w.submission, w.smtps], w.cert])], capture_output=True, text=True,
                             env={**os.environ, "NODE_PATH": modules}, timeout=PATIENCE_S)
        assert out.returncode == 0, out.stderr
        w.receivers["127.0.0.2"].wait(3)


def test_loopback_offers_nothing_needless():
    """loopback port 25 offers neither STARTTLS nor AUTH, and what it must offer"""
    with Office() as w:
        with w.postern.smtp() as s:
            s.ehlo()
            have = set(s.esmtp_features)
            assert "starttls" not in have and "auth" not in have
            assert have >= {"pipelining", "size", "8bitmime", "smtputf8", "dsn", "enhancedstatuscodes", "chunking", "limits"}, have


def test_send_as_of_a_login():
    """a user with a `from` pattern may send as nothing else; the refusal names the line"""
    with Office(config="user app1 { from *@shop.sender.example }") as w:
        with w.postern.smtp(w.submission) as s:
            s.starttls(context=w.context)
            s.login("app1", "secret one")
            s.ehlo()
            code, text = s.docmd(f"MAIL FROM:<{SENDER}>")
            assert code == 550 and b"postern.conf:" in text and b"app1" in text, text
            s.docmd("MAIL FROM:<a@shop.sender.example>")
            s.docmd("RCPT TO:<b@a.example>")
            code, text = s.data(letter(sender="boss@sender.example"))
            assert code == 550, text
            s.sendmail("a@shop.sender.example", ["b@a.example"], letter(sender="a@shop.sender.example"))
        w.receivers["127.0.0.2"].wait(1)


def foreign_client():
    """An address of this machine that is not loopback, or a skip."""
    out = subprocess.run(["ip", "-4", "-o", "addr", "show", "scope", "global"], capture_output=True, text=True).stdout
    found = re.search(r"inet ([0-9.]+)/", out)
    if not found:
        raise Skip("this machine has only loopback addresses")
    return found[1]


def test_strangers_cannot_relay():
    """a client outside `trust` is refused by name, with every trick; one inside is served"""
    address = foreign_client()
    port = free_port()
    with Office(config=f"listen {address}:{port} starttls auth\ntrust loopback\n") as w:
        for sender in (SENDER, "", "x@other.example"):
            with smtplib.SMTP(address, port, source_address=(address, 0), timeout=PATIENCE_S) as s:
                s.ehlo()
                code, text = s.docmd(f"MAIL FROM:<{sender}>")
                if code == 250:
                    for rcpt in ("b@a.example", "@sender.example:b@a.example", "b%a.example@sender.example", "a.example!b@sender.example",
                                 '"b@a.example"@sender.example', "b@[127.0.0.2]", "b@a.example."):
                        code, text = s.docmd(f"RCPT TO:<{rcpt}>")
                        assert code >= 500, (sender, rcpt, code, text)
                else:
                    assert code in (530, 550) and (address.encode() in text or code == 530), text
        w.postern.wait_event("reject")
        time.sleep(0.3)
        assert not w.receivers["127.0.0.2"].messages


def test_foreign_senders_are_refused():
    """envelope and From: outside `domains` are refused even from loopback"""
    with world(zones=ONE, receivers={"127.0.0.2": {}}) as w:
        with w.postern.smtp() as s:
            s.ehlo()
            code, text = s.docmd("MAIL FROM:<x@gmail.example>")
            assert code == 550 and b"domains" in text, text
            for header_from in ("x@gmail.example", "app@sender.example, x@gmail.example"):
                s.docmd(f"MAIL FROM:<{SENDER}>")
                s.docmd("RCPT TO:<b@a.example>")
                code, text = s.data(letter(sender="MARK").replace(b"App <MARK>", header_from.encode()))
                assert code == 550, (header_from, text)


def raw(port, octets):
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as s:
        s.recv(1000)
        s.sendall(octets)
        s.shutdown(socket.SHUT_WR)
        got = b""
        while True:
            piece = s.recv(65536)
            if not piece:
                return got
            got += piece


def test_smuggling_is_refused():
    """no end of data but CRLF.CRLF is taken for one, and nothing with a bare CR or LF is passed on"""
    start = f"EHLO c\r\nMAIL FROM:<{SENDER}>\r\nRCPT TO:<b@a.example>\r\nDATA\r\n".encode()
    smuggled = f"MAIL FROM:<{SENDER}>\r\nRCPT TO:<evil@a.example>\r\nDATA\r\nFrom: {SENDER}\r\n\r\nevil\r\n.\r\n".encode()
    with world(zones=ONE, receivers={"127.0.0.2": {}}) as w:
        for end in (b"\n.\n", b"\r\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\r", b"\r.\r\n", b"\n\n.\r\n", b"\r\n.\x00\r\n", b"\r\n\x00.\r\n"):
            raw(w.postern.port, start + letter()[:-2] + end + smuggled + b".\r\nQUIT\r\n")
        w.postern.send(SENDER, ["last@a.example"], letter())
        until(lambda: any("last@a.example" in m.rcpts for m in w.receivers["127.0.0.2"].messages), what="the last message")
        for m in w.receivers["127.0.0.2"].messages:
            assert "evil@a.example" not in m.rcpts
            assert b"\n" not in m.data.replace(b"\r\n", b"") and b"\r" not in m.data.replace(b"\r\n", b"") and b"\0" not in m.data


def test_injection_behind_starttls():
    """commands pipelined behind STARTTLS end the session with 554"""
    with Office() as w:
        got = raw(w.submission, b"EHLO c\r\nSTARTTLS\r\nNOOP\r\n")
        assert b"\r\n554 " in got and b"220 2.0.0" not in got, got


def test_bdat():
    """BDAT chunks, pipelined, make one message"""
    message = letter()
    half = len(message) // 2
    with world(zones=ONE, receivers={"127.0.0.2": {}}) as w:
        got = raw(w.postern.port, f"EHLO c\r\nMAIL FROM:<{SENDER}>\r\nRCPT TO:<b@a.example>\r\nBDAT {half}\r\n".encode() + message[:half]
                  + f"BDAT {len(message) - half} LAST\r\n".encode() + message[half:] + b"QUIT\r\n")
        assert got.count(b"\r\n250 ") >= 4 and b"queued as" in got, got
        assert w.receivers["127.0.0.2"].wait(1)[0].data.endswith(message)


def test_size_limit():
    """a message over max-size is refused at MAIL if its size was said, else after the data; the session goes on"""
    with world(zones=ONE, receivers={"127.0.0.2": {}}, config="max-size 100K") as w:
        with w.postern.smtp() as s:
            s.ehlo()
            assert s.esmtp_features["size"] == "102400"
            assert s.docmd(f"MAIL FROM:<{SENDER}> SIZE=200000")[0] == 552
            s.docmd(f"MAIL FROM:<{SENDER}>")
            s.docmd("RCPT TO:<b@a.example>")
            assert s.data(letter(body="x" * 70 + "\r\n") + b"y" * 70 * 3000)[0] in (552, 550, 500)
            s.sendmail(SENDER, ["b@a.example"], letter())
        w.receivers["127.0.0.2"].wait(1)


def listens(host, port):
    with socket.socket() as s:
        return s.connect_ex((host, port)) == 0


def test_proxy_header():
    """the PROXY header is believed from the balancer's network only, and demanded there"""
    port = free_port()
    with world(zones=ONE, receivers={"127.0.0.2": {}}, config="") as w:
        w.postern.configure(w.config + f"trust loopback 203.0.113.0/24\nlisten 127.0.0.1:{port} proxy 127.0.0.0/8")
        w.postern.run("reload", check=0)
        until(lambda: listens("127.0.0.1", port), "new listener")

        def talk(header):
            with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as s:
                s.sendall(header + f"EHLO c\r\nMAIL FROM:<{SENDER}>\r\nRCPT TO:<b@a.example>\r\nQUIT\r\n".encode())
                got = b""
                try:
                    while piece := s.recv(65536):
                        got += piece
                except ConnectionError:
                    pass
                return got
        assert talk(b"PROXY TCP4 203.0.113.9 127.0.0.1 4000 25\r\n").count(b"\r\n250 ") >= 2
        refused = talk(b"PROXY TCP4 198.51.100.7 127.0.0.1 4000 25\r\n")
        assert b"\r\n550 " in refused and b"198.51.100.7" in refused, refused
        assert b"250 " not in talk(b"")


def test_capture_mode():
    """without domains everything is held, the reply, the log and `status` say so, nothing leaves"""
    with world(zones=ONE, receivers={"127.0.0.2": {}}, live=False, dkim=False) as w:
        with w.postern.smtp() as s:
            s.ehlo()
            s.mail("anybody@anywhere.example")
            s.rcpt("b@a.example")
            code, text = s.data(letter(sender="anybody@anywhere.example"))
            assert code == 250 and b"held" in text and b"capture" in text, text
        assert w.postern.status()["mode"] == "capture"
        rows = w.postern.queue()
        assert len(rows) == 1 and rows[0]["state"] == "held", rows
        # The first command that anybody tries, on a machine whose name is no whole one.
        out = subprocess.run([BIN, "-c", w.postern.conf, "send", "--to", "b@a.example"], capture_output=True, text=True,
                             env=dict(w.postern.env, POSTERN_HOSTNAME="box"))
        assert out.returncode == 0 and "held" in out.stdout, out
        w.postern.run("queue", "delete", "--from", "postmaster@example.com", check=0)
        time.sleep(1)
        assert not w.receivers["127.0.0.2"].messages
        w.postern.stop()
        w.postern.configure("hostname mail.sender.example\ndomains sender.example anywhere.example\n" + w.config)
        w.postern.start()
        time.sleep(0.5)
        assert not w.receivers["127.0.0.2"].messages
        w.postern.run("queue", "release", "--all", check=0)
        w.receivers["127.0.0.2"].wait(1)


def test_certificate_is_replaced():
    """a renewed certificate is served without a restart"""
    with Office() as w:
        def serial():
            context = ssl.create_default_context(cafile=w.cert)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            with socket.create_connection(("127.0.0.1", w.smtps), timeout=PATIENCE_S) as s, context.wrap_socket(s) as t:
                return t.getpeercert(binary_form=True)
        for _ in range(3):  # no handshake meanwhile meets a certificate without its key
            before = serial()
            certificate(w.postern.dir, "mail.sender.example", "localhost")
            w.postern.process.send_signal(signal.SIGHUP)
            until(lambda: serial() != before, "the new certificate")


def test_sni():
    """several certificates are chosen by name"""
    with Office() as w:
        cert, key = certificate(w.postern.dir, "second.example")
        w.postern.configure(open(w.postern.conf).read().replace(w.postern.base, "") + f"\ntls {cert} {key}\n")
        w.postern.run("reload", check=0)
        for name, ca in (("second.example", cert), ("mail.sender.example", w.cert)):
            context = ssl.create_default_context(cafile=ca)
            with socket.create_connection(("127.0.0.1", w.smtps), timeout=PATIENCE_S) as s, context.wrap_socket(s, server_hostname=name):
                pass


def test_idle_clients_are_ended():
    """a silent client is told 421 and closed after idle-timeout"""
    with world(zones=ONE, config="idle-timeout 1s") as w:
        with socket.create_connection(("127.0.0.1", w.postern.port), timeout=PATIENCE_S) as s:
            got = b""
            while piece := s.recv(1000):
                got += piece
        assert b"\r\n421 " in got, got


def test_scram_exchange():
    """SCRAM-SHA-256 over the wire, computed here from RFC 5802"""
    import hashlib
    import hmac
    with Office() as w:
        with smtplib.SMTP_SSL("127.0.0.1", w.smtps, context=w.context, timeout=PATIENCE_S) as s:
            s.ehlo()
            first = "n=app1,r=clientnonce"
            code, text = s.docmd("AUTH SCRAM-SHA-256 " + base64.b64encode(("n,," + first).encode()).decode())
            assert code == 334, (code, text)
            server = base64.b64decode(text).decode()
            fields = dict(f.split("=", 1) for f in server.split(","))
            salted = hashlib.pbkdf2_hmac("sha256", b"secret one", base64.b64decode(fields["s"]), int(fields["i"]))
            client_key = hmac.digest(salted, b"Client Key", "sha256")
            final = "c=biws,r=" + fields["r"]
            message = ",".join([first, server, final]).encode()
            signature = hmac.digest(hashlib.sha256(client_key).digest(), message, "sha256")
            proof = base64.b64encode(bytes(a ^ b for a, b in zip(client_key, signature))).decode()
            code, text = s.docmd(base64.b64encode(f"{final},p={proof}".encode()).decode())
            assert code == 334, (code, text)
            verifier = base64.b64encode(hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), message, "sha256")).decode()
            assert base64.b64decode(text).decode() == "v=" + verifier
            assert s.docmd("")[0] == 235
            s.sendmail(SENDER, ["b@a.example"], letter())
        w.receivers["127.0.0.2"].wait(1)


def test_container_without_a_file():
    """everything by environment, no configuration file"""
    port = free_port()
    with world(zones=ONE, receivers={"127.0.0.2": {}}, dkim=False, start=False) as w:
        d = w.postern.dir
        p = Postern(dir=d, env={"POSTERN_DOMAINS": "sender.example", "POSTERN_HOSTNAME": "mail.sender.example", "POSTERN_LISTEN": f"127.0.0.1:{port}",
                                "POSTERN_SPOOL": d + "/s2", "POSTERN_STATE": d + "/st2", "POSTERN_CONTROL": d + "/c2", "POSTERN_USER_ACCOUNT": "root",
                                "POSTERN_RESOLVER": f"127.0.0.1@{w.nsd.port}", "POSTERN_DNSSEC": "off"})
        with open(p.conf, "w") as f:
            f.write(f"outbound {{ port {w.port}  private-mx allow  ipv6 off }}\n")
        w.postern = p
        p.start()
        p.send(SENDER, ["b@a.example"], letter(), port=port)
        w.receivers["127.0.0.2"].wait(1)


def test_received_client():
    """the client's name and address stand in Received: short leaves out those of logins, full shows all, none nobody's"""
    for word, login_shown, local_shown in (("short", False, True), ("full", True, True), ("none", False, False)):
        with Office(f"received-client {word}\n" if word != "short" else "") as w:
            with w.postern.smtp(w.submission) as s:
                s.starttls(context=w.context)
                s.login("app1", "secret one")
                s.sendmail(SENDER, ["b@a.example"], letter())
            w.postern.send(SENDER, ["b@a.example"], letter())
            for got in w.receivers["127.0.0.2"].wait(2):
                received = re.search(rb"^Received: ((?:[^\r\n]|\r\n[ \t])*)", got.data, re.M)[1]
                shown = local_shown if b"ESMTPSA" not in received else login_shown
                assert (b"client.example" in received and b"[127.0.0.1]" in received) == shown, (word, received)
                assert shown or (b"client.example" not in received and b"127.0.0.1" not in received), (word, received)
                assert b"by mail.sender.example" in received, received
