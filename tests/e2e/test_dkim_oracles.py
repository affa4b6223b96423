# SPDX-License-Identifier: ISC
"""What dkim/ signs, in the eyes of three verifiers that we did not write."""

import json
import os
import re
import subprocess

import dkim
import verify
from house import BUILD, TOP, Skip
from zones import PATIENCE_S, Nsd

CORPUS = os.path.join(TOP, "tests", "corpus")
SIGNMSG = os.environ.get("POSTERN_SIGNMSG", os.path.join(BUILD, "tests", "unit", "dkim", "signmsg"))
DOMAIN = "example.org"
KEYS = {"rsa": "rsa2048.pkcs8.pem", "ed": "ed25519.pkcs8.pem"}
CANONS = ("relaxed/relaxed", "simple/simple", "relaxed/simple", "simple/relaxed")


def messages():
    """The corpus as smtpd would store it; what smtpd refuses to take is left out."""
    for v in json.load(open(f"{CORPUS}/dkim/vectors.json")):
        data = open(f"{CORPUS}/dkim/{v['file']}", "rb").read()
        if v["lf_stored"]:
            data = data.replace(b"\n", b"\r\n")
        if re.search(rb"\r(?!\n)|(?<!\r)\n|\0", data):
            continue
        if re.search(rb"^[!-9;-~]+[ \t]+:", data.split(b"\r\n\r\n")[0], re.M):
            continue  # legal and obsolete; dkimpy does not read it at all
        if not data.endswith(b"\r\n"):
            data += b"\r\n"
        if b"\r\n\r\n" not in data:
            data += b"\r\n"
        yield v["file"], data


def records():
    """Lines of a zone for the keys of the corpus."""
    known = json.load(open(f"{CORPUS}/dkim-known/kat.json"))["records"]
    lines = []
    for selector, file in KEYS.items():
        txt = known[file]["txt"]
        strings = " ".join(f'"{txt[i:i + 255]}"' for i in range(0, len(txt), 255))
        lines.append(f"{selector}._domainkey 60 IN TXT ( {strings} )")
    return "\n".join(lines)


def sign(message, canon, selectors=("ed", "rsa")):
    keys = [f"{s}={CORPUS}/keys/{KEYS[s]}" for s in selectors]
    return subprocess.run([SIGNMSG, canon, DOMAIN, *keys], input=message, capture_output=True, check=True, timeout=PATIENCE_S).stdout


def dkimpy_refuses(message, nsd):
    try:
        return not any(verify.dkimpy(message, nsd))
    except dkim.DKIMException:
        return True


def with_nsd(check):
    if not os.access(SIGNMSG, os.X_OK):
        raise Skip("signmsg is not built")
    nsd = Nsd({DOMAIN: records()})
    try:
        check(nsd)
    finally:
        nsd.close()


def test_python_verifies_all():
    """dkimpy verifies both signatures of every message of the corpus, in all four canonicalisations"""
    def check(nsd):
        count = 0
        for name, message in messages():
            for canon in CANONS:
                assert verify.dkimpy(sign(message, canon), nsd) == [True, True], (name, canon)
                count += 1
        assert count >= 80, count
    with_nsd(check)


def test_perl_verifies_all():
    """Mail::DKIM verifies every message of the corpus"""
    def check(nsd):
        for name, message in messages():
            for canon in CANONS[:2]:
                seen = verify.mail_dkim(sign(message, canon), nsd)
                assert [row[0] for row in seen] == ["rsa-sha256", "ed25519-sha256"], (name, seen)
                assert seen[0][3] == "pass", (name, canon, seen)
                assert seen[1][3] == "pass" or "unsupported" in seen[1][3], (name, canon, seen)
    with_nsd(check)


def test_opendkim_verifies_all():
    """opendkim verifies every message of the corpus"""
    def check(nsd):
        for name, message in messages():
            if name == "nbsp-header.eml":
                continue  # opendkim squeezes VT and FF too, which are no WSP (RFC 6376 section 2.8)
            signed = sign(message, CANONS[0])
            if verify.opendkim(signed, nsd) is None:
                raise Skip("opendkim is not installed")
            assert verify.opendkim_passes(signed, nsd), (name, verify.opendkim(signed, nsd))
    with_nsd(check)


def test_tampering_is_seen():
    """the verifiers are no yes-men: a changed body, subject or added From is refused by all three"""
    def check(nsd):
        message = next(data for name, data in messages() if name == "plain.eml")
        for changed in (sign(message, CANONS[0])[:-3] + b"!\r\n",
                        sign(message, CANONS[0]).replace(b"Subject: s", b"Subject: t"),
                        b"From: evil@evil.example\r\n" + sign(message, CANONS[0])):
            assert dkimpy_refuses(changed, nsd)
            assert all(row[3] != "pass" for row in verify.mail_dkim(changed, nsd))
            assert verify.opendkim(changed, nsd) is None or not verify.opendkim_passes(changed, nsd)
    with_nsd(check)
