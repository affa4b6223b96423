# SPDX-License-Identifier: ISC
import email
import re
import socket
import ssl
import time

from house import Skip, certificate, until
from receiver import Receiver
from verify import assert_signed
from world import SENDER, assert_unchanged, letter, mx_zone, world

ONE = {"a.example": mx_zone([(10, "mx1", "127.0.0.2")])}


def test_arrives_signed():
    """a message arrives at the MX host, unchanged and signed in the eyes of three verifiers"""
    with world(zones=ONE, receivers={"127.0.0.2": {}}) as w:
        sent = letter()
        w.postern.send(SENDER, ["b@a.example"], sent)
        got = w.receivers["127.0.0.2"].wait(1)[0]
        assert got.sender == SENDER and got.rcpts == ["b@a.example"] and got.helo == "mail.sender.example", vars(got)
        assert_unchanged(sent, got.data)
        assert_signed(got.data, w.nsd, "sender.example")
        line = w.postern.wait_event("delivered")[0]
        assert line["to"] == "b@a.example" and line["mx"] == "mx1.a.example" and line["code"] == "250", line
        until(lambda: w.postern.queue_messages() == 0, what="empty queue")


def test_awkward_bodies_arrive():
    """dots, long lines, 8 bits, blank lines at the end and a large body arrive unchanged and signed"""
    bodies = [".\r\n..\r\n.x\r\n", "x" * 998 + "\r\n", "gr\u00fc\u00dfe \u00a0 \r\n", "a \t b\t\r\n\r\n\r\n\r\n", "\r\n\r\n", "", "no end"]
    large = "".join(f"{i:07} {'.' * (i % 70)}\r\n" for i in range(60000))
    with world(zones=ONE, receivers={"127.0.0.2": {}}) as w:
        sent = {}
        for body in bodies + [large]:
            message = letter(body=body)
            sent[re.search(rb"Subject: (.*)\r\n", message)[1]] = message
            w.postern.send(SENDER, ["b@a.example"], message, options=["BODY=8BITMIME"])
        for got in w.receivers["127.0.0.2"].wait(len(sent)):
            message = sent.pop(re.search(rb"Subject: (letter.*)\r\n", got.data)[1])
            assert_unchanged(message if message.endswith(b"\r\n") else message + b"\r\n", got.data)
            assert_signed(got.data, w.nsd, "sender.example")
        assert not sent


def test_fixed_before_signing():
    """missing Date and Message-ID are added before signing, Bcc goes, and the log says so"""
    with world(zones=ONE, receivers={"127.0.0.2": {}}) as w:
        w.postern.send(SENDER, ["b@a.example"], b"FROM: app@sender.example\r\nTO: b@a.example\r\nBcc: c@secret.example\r\nSubject: x\r\n\r\nis this just fantasy?\r\n")
        got = w.receivers["127.0.0.2"].wait(1)[0]
        m = email.message_from_bytes(got.data)
        assert m["Date"] and m["Bcc"] is None and re.fullmatch(r"<[^@<>]+@mail\.sender\.example>", m["Message-ID"]), got.data
        assert_signed(got.data, w.nsd, "sender.example")
        signed = re.search(r"h=([^;]*);", re.sub(r"\s", "", m["DKIM-Signature"]))[1].lower().split(":")
        assert signed.count("from") == 2 and "date" in signed and "message-id" in signed, signed
        fixed = w.postern.wait_event("accept")[0]["fixed"]
        assert "date" in fixed and "message-id" in fixed and "bcc" in fixed, fixed


def test_subdomain_is_signed_by_parent():
    """a From below the domain with the key is signed with the parent's key; a bounce of it as well"""
    with world(zones=ONE, receivers={"127.0.0.2": {}}) as w:
        w.postern.send("x@news.sender.example", ["b@a.example"], letter(sender="x@news.sender.example"))
        assert_signed(w.receivers["127.0.0.2"].wait(1)[0].data, w.nsd, "sender.example")


def test_unsigned_says_why():
    """without a key mail goes unsigned and the log says why"""
    with world(zones=ONE, receivers={"127.0.0.2": {}}, dkim=False) as w:
        w.postern.send(SENDER, ["b@a.example"], letter())
        assert b"DKIM-Signature" not in w.receivers["127.0.0.2"].wait(1)[0].data
        line = w.postern.wait_event("accept")[0]
        assert line.get("dkim", "").startswith("none") and ("why=" in line["dkim"] or line.get("why")), line


def test_greylisting():
    """a greylisted recipient is tried again and delivered, the log says why it waited"""
    first = {}

    def rcpt(address, session):
        if address not in first:
            first[address] = time.time()
            return "451 4.7.1 greylisted, come back later"
        return None
    with world(zones=ONE, receivers={"127.0.0.2": {"rcpt": rcpt}}, config="retry 1s 2s") as w:
        w.postern.send(SENDER, ["b@a.example"], letter())
        w.receivers["127.0.0.2"].wait(1)
        line = w.postern.wait_event("deferred")[0]
        assert line["code"] == "451" and line["why"] == "greylisted", line
        assert w.postern.wait_event("delivered")[0]["try"] == "2"


def test_first_mx_down():
    """the first MX refuses connections: the second gets the mail at once"""
    zones = {"a.example": mx_zone([(10, "mx1", "127.0.0.4"), (20, "mx2", "127.0.0.2")])}
    with world(zones=zones, receivers={"127.0.0.2": {}}) as w:
        w.postern.send(SENDER, ["b@a.example"], letter())
        w.receivers["127.0.0.2"].wait(1)
        line = w.postern.wait_event("delivered")[0]
        assert line["mx"] == "mx2.a.example" and line["try"] == "1", line


def test_first_mx_says_later():
    """the first MX answers 421: the second gets the mail at once"""
    zones = {"a.example": mx_zone([(10, "mx1", "127.0.0.3"), (20, "mx2", "127.0.0.2")])}
    with world(zones=zones, receivers={"127.0.0.2": {}, "127.0.0.3": {"greet": lambda: "421 4.3.2 full"}}) as w:
        w.postern.send(SENDER, ["b@a.example"], letter())
        w.receivers["127.0.0.2"].wait(1)
        assert w.postern.wait_event("delivered")[0]["try"] == "1"


def test_bounce():
    """a 5xx makes a correct, signed bounce that quotes the reply; the good recipient is delivered"""
    zones = {**ONE}
    with world(zones=zones, receivers={"127.0.0.2": {"rcpt": lambda a, s: "550 5.1.1 no such user here" if a.startswith("nobody") else None},
                                       "127.0.0.9": {}}) as w:
        sent = letter(to="nobody@a.example")
        with w.postern.smtp() as s:
            s.ehlo()
            s.mail(SENDER, ["ENVID=order-77", "RET=HDRS"])
            assert s.docmd("RCPT TO:<nobody@a.example> NOTIFY=FAILURE ORCPT=rfc822;old+2Bname@b.example")[0] == 250
            assert s.docmd("RCPT TO:<good@a.example>")[0] == 250
            s.data(sent)
        assert w.receivers["127.0.0.2"].wait(1)[0].rcpts == ["good@a.example"]
        got = w.receivers["127.0.0.9"].wait(1)[0]
        assert got.sender == "" and got.rcpts == [SENDER], vars(got)
        assert_signed(got.data, w.nsd, "sender.example")
        m = email.message_from_bytes(got.data)
        assert m.get_content_type() == "multipart/report" and m.get_param("report-type") == "delivery-status"
        assert m["Auto-Submitted"] and "auto-replied" in m["Auto-Submitted"] and m["Date"] and m["Message-ID"]
        text, status, original = m.get_payload()
        assert "no such user here" in text.get_payload(decode=True).decode() and "nobody@a.example" in text.get_payload(decode=True).decode()
        host, rcpt = status.get_payload()
        assert host["Reporting-MTA"] == "dns; mail.sender.example" and host["Original-Envelope-Id"] == "order-77", str(host)
        assert rcpt["Final-Recipient"] == "rfc822; nobody@a.example" and rcpt["Action"] == "failed" and rcpt["Status"] == "5.1.1", str(rcpt)
        assert rcpt["Original-Recipient"].replace(" ", "") == "rfc822;old+name@b.example", str(rcpt)
        assert "550 5.1.1 no such user here" in rcpt["Diagnostic-Code"] and rcpt["Remote-MTA"] == "dns; mx1.a.example"
        assert original.get_content_type() == "text/rfc822-headers"
        assert w.postern.wait_event("bounced")[0]["why"] == "mailbox-unknown"
        assert len(status.get_payload()) == 2


def test_notify_never():
    """NOTIFY=NEVER and the null sender make no bounce"""
    with world(zones=ONE, receivers={"127.0.0.2": {"rcpt": lambda a, s: "550 5.1.1 no"}, "127.0.0.9": {}}) as w:
        with w.postern.smtp() as s:
            s.ehlo()
            for sender, options in ((SENDER, " NOTIFY=NEVER"), ("", "")):
                s.mail(sender)
                assert s.docmd(f"RCPT TO:<b@a.example>{options}")[0] == 250
                assert s.data(letter())[0] == 250
        w.postern.wait_event("bounced", 2)
        until(lambda: w.postern.queue_messages() == 0, what="empty queue")
        time.sleep(1)
        assert not w.receivers["127.0.0.9"].messages


def test_success_notice():
    """a success notice is sent for NOTIFY=SUCCESS if the next hop knows no DSN, and left to it if it does"""
    plain = {"features": ("PIPELINING", "8BITMIME")}
    zones = {**ONE, "c.example": mx_zone([(10, "mx1", "127.0.0.3")])}
    with world(zones=zones, receivers={"127.0.0.2": plain, "127.0.0.3": {}, "127.0.0.9": {}}) as w:
        with w.postern.smtp() as s:
            s.ehlo()
            s.mail(SENDER, ["ENVID=e1"])
            assert s.docmd("RCPT TO:<b@a.example> NOTIFY=SUCCESS,FAILURE")[0] == 250
            assert s.docmd("RCPT TO:<b@c.example> NOTIFY=SUCCESS,FAILURE")[0] == 250
            assert s.data(letter())[0] == 250
        got = w.receivers["127.0.0.9"].wait(1)[0]
        status = email.message_from_bytes(got.data).get_payload()[1].get_payload()
        assert [(r["Final-Recipient"], r["Action"]) for r in status[1:]] == [("rfc822; b@a.example", "relayed")], got.data
        w.receivers["127.0.0.3"].wait(1)
        commands = w.receivers["127.0.0.3"].commands
        assert any("ENVID=e1" in c for c in commands) and any("NOTIFY=SUCCESS,FAILURE" in c.upper() for c in commands), commands
        time.sleep(0.5)
        assert len(w.receivers["127.0.0.9"].messages) == 1


def test_null_mx():
    """a null MX bounces at once with 5.1.10; a name that does not exist with 5.1.2"""
    with world(zones={"n.example": "@ 60 IN MX 0 ."}, receivers={"127.0.0.9": {}}) as w:
        w.postern.send(SENDER, ["b@n.example"], letter())
        assert w.postern.wait_event("bounced", 1)[0]["dsn"] == "5.1.10"
        w.postern.send(SENDER, ["b@nx.n.example"], letter())
        assert w.postern.wait_event("bounced", 2)[1]["dsn"] == "5.1.2"
        w.receivers["127.0.0.9"].wait(2)


def test_implicit_mx():
    """a domain with an address and no MX gets its mail at that address; so does a literal"""
    with world(zones={"h.example": "@ 60 IN A 127.0.0.2"}, receivers={"127.0.0.2": {}}) as w:
        w.postern.send(SENDER, ["b@h.example", "c@[127.0.0.2]"], letter())
        got = sorted(m.rcpts[0] for m in w.receivers["127.0.0.2"].wait(2))
        assert got == ["b@h.example", "c@[127.0.0.2]"], got


def test_loopback_mx_is_refused():
    """an MX that points at loopback is refused unless allowed"""
    with world(zones=ONE, receivers={"127.0.0.2": {}, "127.0.0.9": {}}) as w:
        w.postern.configure(w.config.replace("private-mx allow", "private-mx refuse"))
        w.postern.run("reload", check=0)
        w.postern.send(SENDER, ["b@a.example"], letter())
        until(lambda: w.postern.events("bounced") or w.postern.events("deferred"), what="refusal")
        assert not w.receivers["127.0.0.2"].messages


def test_dns_down_is_temporary():
    """a silent name server defers, and the mail goes when it is back"""
    with world(zones=ONE, receivers={"127.0.0.2": {}}, config="retry 1s 1s") as w:
        w.nsd.stop()
        w.postern.send(SENDER, ["b@a.example"], letter())
        assert w.postern.wait_event("deferred", 1)[0]["why"] == "dns-fail"
        w.nsd.start()
        w.receivers["127.0.0.2"].wait(1)


def test_many_recipients():
    """one message to several domains becomes one part for each; one signature serves them"""
    zones = {f"d{i}.example": mx_zone([(10, "mx1", "127.0.0.2")]) for i in range(5)}
    with world(zones=zones, receivers={"127.0.0.2": {}}) as w:
        rcpts = [f"u{k}@d{i}.example" for i in range(5) for k in range(3)]
        w.postern.send(SENDER, rcpts, letter())
        got = w.receivers["127.0.0.2"].wait(5)
        assert sorted(r for m in got for r in m.rcpts) == sorted(rcpts)
        signatures = {m.data[:m.data.index(b"Received:")] for m in got}
        assert len(signatures) == 1, signatures
        w.postern.wait_event("delivered", 15)


def test_some_recipients_refused():
    """of three recipients one is taken, one deferred and one refused, each on its own"""
    answers = {"late": "450 4.2.1 later", "bad": "550 5.1.1 never"}
    tries = []

    def rcpt(address, session):
        tries.append(address)
        local = address.split("@")[0]
        return answers.get(local) if not (local == "late" and tries.count(address) > 1) else None
    with world(zones=ONE, receivers={"127.0.0.2": {"rcpt": rcpt}, "127.0.0.9": {}}, config="retry 1s") as w:
        w.postern.send(SENDER, ["good@a.example", "late@a.example", "bad@a.example"], letter())
        got = w.receivers["127.0.0.2"].wait(2)
        assert sorted(r for m in got for r in m.rcpts) == ["good@a.example", "late@a.example"]
        assert b"bad@a.example" in w.receivers["127.0.0.9"].wait(1)[0].data
        assert tries.count("bad@a.example") == 1 and tries.count("good@a.example") == 1


def tls_context(w_dir, name):
    cert, key = certificate(w_dir, name)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context, cert


def test_starttls_is_used():
    """STARTTLS is used when offered, also with a certificate nobody knows"""
    import tempfile
    with tempfile.TemporaryDirectory() as d:
        context, _ = tls_context(d, "mx1.a.example")
        with world(zones=ONE, receivers={"127.0.0.2": {"tls": context}}) as w:
            w.postern.send(SENDER, ["b@a.example"], letter())
            assert w.receivers["127.0.0.2"].wait(1)[0].tls == "TLSv1.3"
            line = w.postern.wait_event("delivered")[0]
            assert line["tls"] == "1.3" and line["tlsv"] == "none", line


def test_starttls_broken_falls_back():
    """a failed handshake is followed by a new connection in plain"""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)  # no certificate: every handshake fails
    with world(zones=ONE, receivers={"127.0.0.2": {"tls": context}}) as w:
        w.postern.send(SENDER, ["b@a.example"], letter())
        got = w.receivers["127.0.0.2"].wait(1)[0]
        assert got.tls is None and w.receivers["127.0.0.2"].connections >= 2


def test_connection_is_reused():
    """many messages to one domain share few connections"""
    with world(zones=ONE, receivers={"127.0.0.2": {}}) as w:
        w.postern.run("pause", check=0)  # all at once: a connection that nobody needs for two seconds is closed
        with w.postern.smtp() as s:
            for _ in range(200):
                s.sendmail(SENDER, ["b@a.example"], letter())
        w.postern.run("resume", check=0)
        w.receivers["127.0.0.2"].wait(200)
        assert w.receivers["127.0.0.2"].connections <= 40, w.receivers["127.0.0.2"].connections


def test_smtputf8():
    """an internationalised address goes to a hop with SMTPUTF8 and bounces at one without, with 5.6.7"""
    zones = {**ONE, "c.example": mx_zone([(10, "mx1", "127.0.0.3")])}
    with world(zones=zones, receivers={"127.0.0.2": {}, "127.0.0.3": {"features": ("PIPELINING", "8BITMIME")}, "127.0.0.9": {}}) as w:
        with w.postern.smtp() as s:
            s.ehlo()
            for domain in ("a.example", "c.example"):
                assert s.docmd(f"MAIL FROM:<{SENDER}> SMTPUTF8 BODY=8BITMIME")[0] == 250
                s.sock.sendall(f"RCPT TO:<gr\u00fc\u00dfe@{domain}>\r\n".encode())
                assert s.getreply()[0] == 250
                assert s.data(letter(to=f"gr\u00fc\u00dfe@{domain}"))[0] == 250
        assert w.receivers["127.0.0.2"].wait(1)[0].rcpts == ["gr\u00fc\u00dfe@a.example"]
        assert w.postern.wait_event("bounced")[0]["dsn"] == "5.6.7"
        w.receivers["127.0.0.9"].wait(1)


def test_eight_bit_needs_a_hop_that_can():
    """8-bit mail is not sent to a hop without 8BITMIME"""
    with world(zones=ONE, receivers={"127.0.0.2": {"features": ("PIPELINING",)}, "127.0.0.9": {}}) as w:
        w.postern.send(SENDER, ["b@a.example"], letter(body="gr\u00fc\u00dfe\r\n"), options=["BODY=8BITMIME"])
        assert w.postern.wait_event("bounced")[0]["dsn"].startswith("5.6."), w.postern.log()
        assert not w.receivers["127.0.0.2"].messages


def test_no_pipelining_no_ehlo():
    """an old server that knows only HELO gets its mail"""
    with world(zones=ONE, receivers={"127.0.0.2": {"features": ()}}) as w:
        w.postern.send(SENDER, ["b@a.example"], letter())
        w.receivers["127.0.0.2"].wait(1)


def test_hostile_server_defers():
    """a server that babbles without end, and one that drops at the dot, end in a temporary failure"""
    zones = {**ONE, "c.example": mx_zone([(10, "mx1", "127.0.0.3")])}
    with world(zones=zones, receivers={"127.0.0.2": {"greet": lambda: "\r\n".join(["220-babble"] * 5000)}, "127.0.0.3": {"data": lambda m: "drop"}},
               config="retry 1h") as w:
        w.postern.send(SENDER, ["b@a.example"], letter())
        w.postern.send(SENDER, ["b@c.example"], letter())
        w.postern.wait_event("deferred", 2)
        assert w.postern.queue_messages() == 2 and not w.postern.events("bounced")


def test_smarthost_with_auth():
    """a smarthost gets the mail after STARTTLS and AUTH, with a certificate that verifies"""
    import tempfile
    import base64
    logins = []

    def auth(text, session):
        logins.append((text, session.tls))
        return base64.b64decode(text.split()[2]) == b"\0relay\0geheim"
    with tempfile.TemporaryDirectory() as d:
        context, cert = tls_context(d, "smart.sender.example")
        with open(f"{d}/password", "w") as f:
            f.write("geheim\n")
        config = f"route * {{ via smart.sender.example:{{port}} starttls  user relay  password file:{d}/password }}"
        import os
        os.chmod(f"{d}/password", 0o600)
        with world(receivers={"127.0.0.5": {"tls": context, "auth": auth}}, config=config, start=False, dkim=False) as w:
            w.postern.configure(w.config.replace("ipv6 off", f"ipv6 off  ca {cert}"))
            w.zones["sender.example"] += "\nsmart 60 IN A 127.0.0.5"
            w.publish_key("sender.example")
            w.postern.start()
            w.postern.send(SENDER, ["b@anywhere.example"], letter())
            got = w.receivers["127.0.0.5"].wait(1)[0]
            assert got.tls and logins and logins[0][1], logins
            assert w.postern.wait_event("delivered")[0]["tlsv"] == "pkix"
            assert "geheim" not in w.postern.log() and "geheim" not in w.postern.run("config", "show").stdout


def test_smarthost_unverified_gets_no_password():
    """a smarthost whose certificate does not verify gets neither password nor mail"""
    import os
    import tempfile
    with tempfile.TemporaryDirectory() as d:
        context, _ = tls_context(d, "other.example")
        with open(f"{d}/password", "w") as f:
            f.write("geheim\n")
        os.chmod(f"{d}/password", 0o600)
        config = f"route * {{ via smart.sender.example:{{port}} starttls  user relay  password file:{d}/password }}"
        with world(receivers={"127.0.0.5": {"tls": context, "auth": lambda t, s: True}}, config=config, start=False, dkim=False) as w:
            w.nsd.change({"sender.example": w.zones["sender.example"] + "\nsmart 60 IN A 127.0.0.5"})
            w.postern.start()
            w.postern.send(SENDER, ["b@anywhere.example"], letter())
            assert w.postern.wait_event("deferred")[0]["why"] == "tls-fail"
            assert not any(c.startswith("AUTH") for c in w.receivers["127.0.0.5"].commands)


def test_expiry_bounces():
    """mail that cannot be delivered within `expire` is bounced with the last reason"""
    with world(zones=ONE, receivers={"127.0.0.2": {"rcpt": lambda a, s: "450 4.2.2 mailbox full"}, "127.0.0.9": {}}, config="retry 1s\nexpire 8s") as w:
        w.postern.send(SENDER, ["b@a.example"], letter())
        got = w.receivers["127.0.0.9"].wait(1)[0]
        assert b"mailbox full" in got.data
        assert w.postern.wait_event("expired")
        until(lambda: w.postern.queue_messages() == 0, what="empty queue")


def test_delay_notice():
    """mail that waits longer than delay-notice tells its sender, once"""
    with world(zones=ONE, receivers={"127.0.0.2": {"rcpt": lambda a, s: "450 4.2.2 mailbox full"}, "127.0.0.9": {}}, config="retry 1s\ndelay-notice 2s") as w:
        w.postern.send(SENDER, ["b@a.example"], letter())
        got = w.receivers["127.0.0.9"].wait(1)[0]
        status = email.message_from_bytes(got.data).get_payload()[1].get_payload()
        assert status[1]["Action"] == "delayed", got.data
        time.sleep(3)
        assert len(w.receivers["127.0.0.9"].messages) == 1


def test_first_success_releases_the_lane():
    """the first success after failures releases the deferred mail of that domain"""
    with world(zones=ONE, config="retry 1h") as w:
        for _ in range(5):
            w.postern.send(SENDER, ["b@a.example"], letter())
        one = w.postern.wait_event("deferred")[0]["id"]  # the others wait behind it: one probe a lane
        receiver = Receiver("127.0.0.2", w.port)
        w.receivers["127.0.0.2"] = receiver
        # On a slow machine one that had not been tried yet has been the first success, and this one is gone with the others.
        assert w.postern.run("queue", "retry", one).returncode in (0, 3)
        receiver.wait(5)


def test_loop_is_bounced():
    """a message with too many Received fields is bounced with a clear text"""
    trace = "Received: from a by b; Mon, 23 Nov 2026 10:07:11 +0000\r\n" * 60
    with world(zones=ONE, receivers={"127.0.0.2": {}, "127.0.0.9": {}}) as w:
        w.postern.send(SENDER, ["b@a.example"], trace.encode() + letter())
        got = w.receivers["127.0.0.9"].wait(1)[0]
        assert b"5.4.6" in got.data and b"loop" in got.data.lower()
        assert not w.receivers["127.0.0.2"].messages


def ipv6_world(zones, receivers):
    if not socket.has_ipv6:
        raise Skip("no IPv6 here")
    try:
        with socket.socket(socket.AF_INET6) as s:
            s.bind(("::1", 0))
    except OSError:
        raise Skip("no IPv6 on the loopback interface")
    return world(zones=zones, receivers=receivers, start=False)


def test_ipv6():
    """an MX host with an IPv6 address alone gets its mail there"""
    with ipv6_world({"a.example": mx_zone([(10, "mx1", "::1")])}, {"::1": {}}) as w:
        w.postern.configure(w.config.replace("ipv6 off", "ipv6 on"))
        w.postern.start()
        w.postern.send(SENDER, ["b@a.example"], letter())
        w.receivers["::1"].wait(1)
        assert w.postern.wait_event("delivered")[0]["ip"] == "::1"


def test_ipv6_that_does_not_work():
    """where IPv6 connections fail the IPv4 address of the same host gets the mail at once"""
    with ipv6_world({"a.example": mx_zone([(10, "mx1", "::1")]) + "\nmx1 60 IN A 127.0.0.2"}, {"127.0.0.2": {}}) as w:
        w.postern.configure(w.config.replace("ipv6 off", "ipv6 on"))
        w.postern.start()
        for _ in range(3):
            w.postern.send(SENDER, ["b@a.example"], letter())
        w.receivers["127.0.0.2"].wait(3)
        assert not w.postern.events("deferred"), w.postern.events("deferred")


def test_mail_to_ourselves():
    """an MX that leads back to our own listener is bounced with a clear text, not sent in circles"""
    with world(zones={"a.example": mx_zone([(10, "mx1", "127.0.0.1")])}, start=False) as w:
        w.postern.configure(w.config.replace(f"port {w.port}", f"port {w.postern.port}"))
        w.postern.start()
        w.postern.send(SENDER, ["b@a.example"], letter())
        line = w.postern.wait_event("bounced")[0]
        assert line["dsn"] == "5.4.6" and line["why"] == "loop", line


def listens(host, port):
    with socket.socket() as s:
        return s.connect_ex((host, port)) == 0


def test_smtp_sink():
    """postfix's smtp-sink takes 300 messages at 10 sessions"""
    import subprocess
    import threading
    from house import BUILD
    sink = f"{BUILD}/peers/postfix/usr/sbin/smtp-sink"
    import os
    if not os.path.exists(sink):
        raise Skip("no smtp-sink: tests/peers could not fetch postfix")
    libraries = f"{BUILD}/peers/postfix/usr/lib/postfix"
    with world(zones=ONE) as w:
        user = ["-u", "nobody"] if os.getuid() == 0 else []
        process = subprocess.Popen([sink, *user, "-c", f"127.0.0.2:{w.port}", "1000"], env={**os.environ, "LD_LIBRARY_PATH": libraries},
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            until(lambda: listens("127.0.0.2", w.port), "smtp-sink")

            def client():
                with w.postern.smtp() as s:
                    for _ in range(30):
                        s.sendmail(SENDER, ["b@a.example"], letter())
            threads = [threading.Thread(target=client) for _ in range(10)]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            w.postern.wait_event("delivered", 300)
        finally:
            process.kill()
