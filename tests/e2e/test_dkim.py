# SPDX-License-Identifier: ISC
"""Keys and signatures by the commands."""

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile

import dkim
import verify
from house import BIN, TOP, Postern, Skip
from world import SENDER, letter, mx_zone, world

KEYS = f"{TOP}/tests/corpus/keys"
KNOWN = json.load(open(f"{TOP}/tests/corpus/dkim-known/kat.json"))["records"]
ONE = {"a.example": mx_zone([(10, "mx1", "127.0.0.2")])}
HOST = "hostname mail.sender.example\ndomains sender.example *.sender.example\n"

KEY_FILES = {
    "bad-ec-p256.pem": (78, "is a key of type EC"),
    "bad-empty.pem": (78, "is empty"),
    "bad-encrypted.pem": (78, "is encrypted with a pass phrase"),
    "bad-public-only.pem": (78, "holds only the public key"),
    "bad-truncated.pem": (78, "is cut off"),
    "rsa512.pkcs8.pem": (78, "is an RSA key of 512 bits"),
    "rsa1024.pkcs8.pem": (0, "has 1024 bits"),
    "rsa2048.crlf.pem": (0, None),
    "rsa2048.pkcs1.pem": (0, None),
    "rsa2048.pkcs8.pem": (0, None),
    "rsa4096.pkcs8.pem": (0, None),
    "ed25519.pkcs8.pem": (0, None),
}


def test_key_files():
    """`check` takes PKCS#1 and PKCS#8 with either line end, and refuses every other file of the corpus with its reason"""
    assert set(KEY_FILES) == {f for f in os.listdir(KEYS) if f.endswith(".pem")}
    p, wrong = Postern(), []
    try:
        for name, (code, words) in KEY_FILES.items():
            shutil.copy(f"{KEYS}/{name}", p.dir)
            os.chmod(f"{p.dir}/{name}", 0o600)
            p.configure(HOST + f"dkim sender.example {{ key s1 {name} }}")
            r = p.run("check")
            out = r.stdout + r.stderr
            told = re.search(r"(error|warning): \S*" + re.escape(name) + " (.*)", out)
            if r.returncode != code or (told is None) != (words is None) or (words and words not in told[2]):
                wrong.append((name, r.returncode, out))
        assert not wrong, wrong
    finally:
        p.close()


def openssl_verifies(pem, data, signature):
    """An RSA or Ed25519 signature over the SHA-256 of `data`, by the private key's public half."""
    with tempfile.TemporaryDirectory() as d:
        for name, octets in (("data", data), ("hash", hashlib.sha256(data).digest()), ("sig", signature)):
            open(f"{d}/{name}", "wb").write(octets)
        subprocess.run(["openssl", "pkey", "-in", pem, "-pubout", "-out", f"{d}/pub"], check=True)
        if "ed25519" in pem or pem.endswith("e.pem"):
            command = ["pkeyutl", "-verify", "-pubin", "-inkey", f"{d}/pub", "-rawin", "-in", f"{d}/hash", "-sigfile", f"{d}/sig"]
        else:
            command = ["dgst", "-sha256", "-verify", f"{d}/pub", "-signature", f"{d}/sig", f"{d}/data"]
        return subprocess.run(["openssl", *command], capture_output=True).returncode == 0


def test_canonical_form():
    """`dkim test` shows exactly what each signature covers; the signature of `lint` is the same, and verifies"""
    message = letter(body="blanks \t here  \r\n\r\n\xfcber\r\n\r\n\r\n", subject="two   blanks")
    with world(zones=ONE, start=False) as w:
        path = f"{w.postern.dir}/a.eml"
        open(path, "wb").write(message)
        shown = json.loads(w.postern.run("dkim", "test", "--json", path, check=0).stdout)
        assert shown["domain"] == "sender.example" and len(shown["signatures"]) == 2, shown
        assert "subject:two blanks\r\n" in shown["header"] and shown["body"] == "blanks here\r\n\r\n\xfcber\r\n", shown
        for s in shown["signatures"]:
            tags = dkim.parse_tag_value(s["field"].split(":", 1)[1].encode())
            selector = tags[b"s"].decode()
            assert base64.b64decode(tags[b"bh"]) == hashlib.sha256(shown["body"].encode()).digest()
            covered = (shown["header"] + s["covers"]).encode()
            value = base64.b64decode(re.sub(rb"\s", b"", tags[b"b"]))
            pem = f"{w.postern.dir}/state/dkim/sender.example/{selector}.pem"
            assert openssl_verifies(pem, covered, value), s
            assert not openssl_verifies(pem, covered + b"x", value)
        people = w.postern.run("dkim", "test", path, check=0).stdout
        assert r"subject:two blanks\r\n" in people and "\nblanks here\\r\\n\n\\r\\n\n\\xc3\\xbcber\\r\\n\n" in people, people
        fields = json.loads(w.postern.run("lint", "--json", path, check=0).stdout)["signature"]
        verify.assert_signed(fields.encode() + message, w.nsd, "sender.example")
        w.postern.configure(w.config + "dkim-sign off")
        assert "dkim-sign is off" in w.postern.run("dkim", "test", path, check=1).stderr
        w.postern.configure(w.config.replace("domains ", "domains nokey.example "))
        open(path, "wb").write(letter(sender="a@nokey.example"))
        assert "no key fits" in w.postern.run("dkim", "test", path, check=1).stderr
        assert "DKIM d=    - (no key fits" in w.postern.run("lint", path, check=0).stdout


def two_strings(txt):
    """As a zone file has it whose author cut the value anywhere and put no blank at the seam."""
    return f'"{txt[:61]}" "{txt[61:255]}" "{txt[255:]}"' if len(txt) > 255 else f'"{txt[:61]}" "{txt[61:]}"'


def test_seed_case():
    """no Date, no Message-ID, FROM: and TO: in capitals; keys of 1024 and 2048 bits whose records come in pieces: all three verify, and see an added From"""
    seed = b"FROM: App <app@sender.example>\r\nTO: <b@a.example>\r\nSubject: seed\r\n\r\nHello.\r\n"
    files = {"small": "rsa1024.pkcs8.pem", "usual": "rsa2048.pkcs8.pem", "old": "rsa2048.pkcs1.pem"}
    for selector, file in files.items():
        txt = (KNOWN.get(file) or KNOWN["rsa2048.pkcs8.pem"])["txt"]
        with world(zones=ONE, receivers={"127.0.0.2": {}}, dkim=False, start=False) as w:
            shutil.copy(f"{KEYS}/{file}", w.postern.dir)
            os.chmod(f"{w.postern.dir}/{file}", 0o600)
            public = subprocess.run(["openssl", "pkey", "-in", f"{w.postern.dir}/{file}", "-pubout", "-outform", "DER"], capture_output=True, check=True).stdout
            assert base64.b64encode(public).decode() in txt.replace(" ", ""), file
            w.nsd.change({"sender.example": w.zones["sender.example"] + f"\n{selector}._domainkey 60 IN TXT {two_strings(txt)}"})
            w.postern.configure(w.config + f"dkim sender.example {{ key {selector} {file} }}")
            w.postern.start()
            w.postern.send(SENDER, ["b@a.example"], seed)
            got = w.receivers["127.0.0.2"].wait(1)[0].data
            head, body = got.split(b"\r\n\r\n", 1)
            names = [line.split(b":")[0] for line in re.split(rb"\r\n(?![ \t])", head)]
            assert b"FROM" in names and b"TO" in names and b"Date" in names and b"Message-ID" in names and body == b"Hello.\r\n", names
            signed = [re.sub(rb"\s", b"", t) for t in re.findall(rb"\bh=([^;]*);", head)]
            assert len(signed) == 1 and signed[0].split(b":").count(b"from") == 2 and b"message-id" in signed[0], signed
            verify.assert_signed(got, w.nsd, "sender.example", algorithms=("rsa-sha256",))
            forged = b"From: Boss <boss@sender.example>\r\n" + got
            assert not any(verify.dkimpy_says(forged, w.nsd)) and all(row[3] != "pass" for row in verify.mail_dkim(forged, w.nsd))
            assert verify.opendkim(forged, w.nsd) is None or not verify.opendkim_passes(forged, w.nsd)


def test_selector_template():
    """`dkim-selector` names new keys, by host and date; a second pair of a month gets a number"""
    p = Postern(HOST)
    try:
        def made(config, code=0):
            p.configure(config)
            r = p.run("dkim", "new", "sender.example", "--json", check=code)
            return [json.loads(line)["selector"] for line in r.stdout.splitlines()] if code == 0 else r.stderr
        month = subprocess.run(["date", "-u", "+%Y%m"], capture_output=True, text=True).stdout.strip()
        assert made(HOST) == [f"mail-{month}", f"mail-{month}e"]
        assert made(HOST) == [f"mail-{month}-2", f"mail-{month}-2e"]
        assert made(HOST + "dkim-selector k%Y-%h") == [f"k{month[:4]}-mail", f"k{month[:4]}-maile"]
        assert made("hostname bücher.sender.example\ndomains sender.example\ndkim-selector %h")[0] == "xn--bcher-kva"
        assert "makes no selector" in made(HOST + "dkim-selector %x", 78)
    finally:
        p.close()


def test_who_may_not_read_the_keys():
    """an ordinary user gets the findings of `lint`, and is told why there is no signature; `check` still calls it an error"""
    if os.geteuid() != 0:
        raise Skip("not root")
    p = Postern(HOST)
    try:
        p.run("dkim", "new", "sender.example", check=0)
        os.chmod(p.dir, 0o755)
        with open(f"{p.dir}/a.eml", "wb") as f:
            f.write(letter().replace(b"Subject", b"X-Subject"))

        def run(*args):
            return subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", BIN, *args[:1], "-c", p.conf, *args[1:]],
                                  capture_output=True, text=True, env=p.env)
        for mode, words in ((0o700, "state/dkim may not be read by this account"), (0o755, ".pem may not be read by this account")):
            for folder in (f"{p.dir}/state", f"{p.dir}/state/dkim", f"{p.dir}/state/dkim/sender.example"):
                os.chmod(folder, mode)
            r = run("lint", "--json", f"{p.dir}/a.eml")
            answer = json.loads(r.stdout)
            assert r.returncode == 0 and [f["rule"] for f in answer["findings"]] == ["subject-missing"], r
            assert answer["signature"] == "" and words in answer["unsigned_why"], answer
            r = run("dkim", "test", f"{p.dir}/a.eml")
            assert r.returncode == 1 and words in r.stderr, r
        r = run("check")
        assert r.returncode == 78 and "Permission denied" in r.stdout + r.stderr, r
    finally:
        p.close()
