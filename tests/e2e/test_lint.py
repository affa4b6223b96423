# SPDX-License-Identifier: ISC
"""What becomes of messages that receivers would hold something against."""

import email
import email.policy
import random
import re
import smtplib
from email.mime.application import MIMEApplication
from email.mime.message import MIMEMessage
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText

import verify
from house import until
from world import SENDER, letter, mx_zone, world

ONE = {"a.example": mx_zone([(10, "mx1", "127.0.0.2")])}
LONG = "<p>" + "long &amp; = minified ü " * 400 + "</p>"


def as_it_is(text, subtype="html", encoding="8bit"):
    part = MIMEText("", subtype, "utf-8")
    del part["Content-Transfer-Encoding"]
    part["Content-Transfer-Encoding"] = encoding
    part.set_payload(text)
    return part


def attachment(size):
    return MIMEApplication(random.Random(1).randbytes(size))


def mixed(*parts, kind="mixed"):
    m = MIMEMultipart(kind)
    for p in parts:
        m.attach(p)
    return m


def wire(m, name):
    """As a program writes it that cares for no line length."""
    for field, value in (("From", SENDER), ("To", "b@a.example"), ("Subject", name), ("Date", "Mon, 23 Nov 2026 10:07:11 +0000"),
                         ("Message-ID", f"<{name.replace(' ', '.')}@sender.example>")):
        if field not in m:
            m[field] = value
    lines = m.as_string(policy=email.policy.compat32.clone(max_line_length=0, linesep="\n")).split("\n")
    return "\r\n".join(lines).encode().rstrip(b"\r\n") + b"\r\n"


def leaves(data):
    return [(p.get_content_type(), p.get_payload(decode=True)) for p in email.message_from_bytes(data).walk() if not p.is_multipart()]


def messages():
    quoted = as_it_is("=C3=BC=3D" * 300 + "\n" + "=41" * 500, encoding="quoted-printable")
    inner = as_it_is(LONG)
    inner["Subject"] = "within"
    yield "plain", as_it_is(LONG, "plain")
    yield "with an attachment", mixed(mixed(as_it_is("short", "plain"), as_it_is(LONG), kind="alternative"), attachment(1000))
    yield "large", mixed(as_it_is(LONG), attachment(3 << 20))
    yield "one large line", as_it_is("ü" * 700000, "plain")
    yield "over the frame only when encoded", as_it_is("ü" * 60000, "plain")
    yield "a message within", mixed(as_it_is("see below"), MIMEMessage(inner))
    yield "quoted already", quoted


def test_long_lines_are_encoded():
    """bodies with lines of over 998 octets arrive in shorter ones, with the same content and a good signature; DATA and BDAT, large and small"""
    with world(zones=ONE, receivers={"127.0.0.2": {}}) as w:
        for count, (name, m) in enumerate(messages(), 1):
            data = wire(m, name)
            assert max(map(len, data.split(b"\r\n"))) > 998, name
            if count % 2:
                w.postern.send(SENDER, ["b@a.example"], data)
            else:
                with w.postern.smtp() as s:
                    s.ehlo()
                    s.mail(SENDER)
                    s.rcpt("b@a.example")
                    s.send(b"BDAT %d LAST\r\n" % len(data) + data)
                    assert s.getreply()[0] == 250, name
            got = w.receivers["127.0.0.2"].wait(count)[-1].data
            assert max(map(len, got.split(b"\r\n"))) <= 998, name
            assert leaves(got) == leaves(data), name
            verify.assert_signed(got, w.nsd, "sender.example")
        accepted = w.postern.events("accept")
        assert all(e["fixed"] == "encoded" for e in accepted), accepted
        assert w.postern.status()["lint_line_long_body_total"] == len(accepted)


def test_what_is_signed_is_not_encoded():
    """a signature that is there already would break: such a message with a long line is refused, the rule named; short ones pass"""
    signed = mixed(as_it_is(LONG), MIMEApplication(b"signature", "pgp-signature"), kind="signed")
    dkim = as_it_is(LONG)
    dkim["DKIM-Signature"] = "v=1; d=elsewhere.example"
    with world(zones=ONE, receivers={"127.0.0.2": {}}) as w:
        for m in (signed, dkim):
            try:
                w.postern.send(SENDER, ["b@a.example"], wire(m, "signed"))
                raise AssertionError("taken")
            except smtplib.SMTPDataError as e:
                assert e.smtp_code == 550 and b"[line-long-body]" in e.smtp_error and b"signed" in e.smtp_error, e
        short = wire(mixed(as_it_is("short"), MIMEApplication(b"signature", "pgp-signature"), kind="signed"), "short")
        w.postern.send(SENDER, ["b@a.example"], short)
        assert w.receivers["127.0.0.2"].wait(1)[0].data.endswith(short)


def test_findings_are_counted():
    """status counts what each rule found, in all and for each client; from bulk-after on, mail without List-Unsubscribe is found"""
    with world(zones=ONE, receivers={"127.0.0.2": {}}, config="bulk-after 3\nsmtpd-processes 1") as w:
        for _ in range(5):
            w.postern.send(SENDER, ["b@a.example"], letter().replace(b"Subject", b"X-Subject"))
        until(lambda: w.postern.status()["lint_subject_missing_total"] == 5, what="counters")
        status = w.postern.status()
        assert status["lint_bulk_no_unsubscribe_total"] == 2, status
        assert {"client": "127.0.0.1", "rule": "subject-missing", "count": 5} in status["lint"], status
        assert {"client": "127.0.0.1", "rule": "bulk-no-unsubscribe", "count": 2} in status["lint"], status
        assert re.search(r"^127.0.0.1 +subject-missing +5$", w.postern.run("status", check=0).stdout, re.M)
        assert [e.get("lint") for e in w.postern.events("accept")] == [None] * 3 + ["bulk-no-unsubscribe"] * 2
