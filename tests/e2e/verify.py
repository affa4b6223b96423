# SPDX-License-Identifier: ISC
"""Three DKIM verifiers that we did not write, asked about one message through one nsd."""

import os
import shutil
import subprocess
import tempfile

import dkim
from zones import PATIENCE_S

MAIL_DKIM = r"""
use Net::DNS; use Net::DNS::RR::OPT; use Net::DNS::RR::TXT; use Mail::DKIM::Verifier; use Mail::DKIM::DNS;
my $port = shift;
$Mail::DKIM::DNS::TIMEOUT = 100; # an alarm, which would also end the loading of a module
Mail::DKIM::DNS::resolver(Net::DNS::Resolver->new(nameservers => ['127.0.0.1'], port => $port, recurse => 0));
my $v = Mail::DKIM::Verifier->new();
binmode STDIN; local $/; my $m = <STDIN>; $v->PRINT($m); $v->CLOSE();
for my $s ($v->signatures) { print $s->algorithm, ' ', $s->domain, ' ', $s->selector, ' ', $s->result_detail, "\n"; }
"""


def dkimpy(message, nsd):
    """Results of every signature, topmost first."""
    v = dkim.DKIM(message)
    count = sum(1 for name, _ in v.headers if name.lower() == b"dkim-signature")
    return [bool(dkim.DKIM(message).verify(idx=i, dnsfunc=lambda name, timeout=5: nsd.txt(name))) for i in range(count)]


def dkimpy_says(message, nsd):
    """The same, where a message that it does not even look at counts as refused."""
    try:
        return dkimpy(message, nsd)
    except dkim.DKIMException:
        return []


def mail_dkim(message, nsd):
    out = subprocess.run(["/usr/bin/perl", "-e", MAIL_DKIM, str(nsd.port)], input=message, capture_output=True, timeout=PATIENCE_S)
    return [line.split(" ", 3) for line in out.stdout.decode().splitlines()]


def opendkim(message, nsd):
    """opendkim in test mode, its resolver replaced by a file of keys; the words of its verdict."""
    name = subprocess.run(["sh", "-c", "command -v opendkim || ls /usr/sbin/opendkim"], capture_output=True, text=True).stdout.strip()
    if not name:
        return None
    folder = tempfile.mkdtemp(prefix="e2e-opendkim-")
    try:
        with open(f"{folder}/message", "wb") as f:
            f.write(message)
        keys = []
        for field in dkim.DKIM(message).headers:
            if field[0].lower() == b"dkim-signature":
                tags = dkim.parse_tag_value(field[1])
                name_ = f"{tags[b's'].decode()}._domainkey.{tags[b'd'].decode()}"
                txt = nsd.txt(name_)
                if txt is not None:
                    keys.append(f"{name_} {txt.decode()}")
        with open(f"{folder}/keys", "w") as f:
            f.write("\n".join(keys) + "\n")
        with open(f"{folder}/conf", "w") as f:
            f.write(f"TestPublicKeys {folder}/keys\nMode v\nSyslog no\n")
        out = subprocess.run([name, "-x", f"{folder}/conf", "-t", f"{folder}/message", "-vv"],
                             capture_output=True, text=True, timeout=PATIENCE_S, env={**os.environ, "PATH": "/usr/sbin:/usr/bin:/bin"})
        return out.stdout + out.stderr
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def opendkim_passes(message, nsd):
    verdict = opendkim(message, nsd)
    return verdict is None or ("verification (s=" in verdict and "succeeded" in verdict) or "dkim=pass" in verdict


def assert_signed(message, nsd, domain, algorithms=("rsa-sha256", "ed25519-sha256")):
    """Every signature of the message is right in the eyes of all three."""
    results = dkimpy(message, nsd)
    assert results and all(results), f"dkimpy: {results}"
    seen = mail_dkim(message, nsd)
    assert seen, "Mail::DKIM found no signature"
    for algorithm, d, selector, detail in seen:
        assert d == domain, f"Mail::DKIM: d={d}"
        if algorithm == "rsa-sha256":
            assert detail == "pass", f"Mail::DKIM: {algorithm} {d} {selector}: {detail}"
        else:  # versions before 1.20220520 do not know Ed25519
            assert detail == "pass" or "unsupported" in detail or "invalid" in detail, f"Mail::DKIM: {algorithm}: {detail}"
    assert {a for a, *_ in seen} >= set(algorithms) - {"ed25519-sha256"}, seen
    assert opendkim_passes(message, nsd), "opendkim: " + opendkim(message, nsd)
