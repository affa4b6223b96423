# SPDX-License-Identifier: ISC
"""
A receiver that refuses as the large ones do, by code that is not ours: reverse name, SPF, DKIM
(dkimpy), DMARC alignment and Message-ID. The zones are those of the test's nsd.
"""

import ipaddress
import re
from email import message_from_bytes
from email.utils import parseaddr

import dkim
import dns.message
import dns.query
import dns.reversename

from receiver import Receiver


class MiniGmail(Receiver):
    """`source` is the address that the sender is seen with, if there is a NAT between us; else his own counts."""

    def __init__(self, host, port, nsd, source):
        self.nsd, self.source = nsd, source
        self.verdicts = []
        super().__init__(host, port, data=self.judge)

    def ask(self, name, kind):
        answer = dns.query.udp(dns.message.make_query(name, kind), "127.0.0.1", port=self.nsd.port, timeout=30)
        return [r for rrset in answer.answer for r in rrset if r.rdtype == rrset.rdtype and dns.rdatatype.to_text(r.rdtype) == kind]

    def texts(self, name):
        return [b"".join(r.strings).decode() for r in self.ask(name, "TXT")]

    def leads_to(self, name, source):
        return source in [r.to_text() for r in self.ask(name, "AAAA" if ":" in source else "A")]

    def reverse_is_good(self, source):
        names = [r.target for r in self.ask(dns.reversename.from_address(source), "PTR")]
        return any(self.leads_to(n, source) for n in names)

    def spf(self, domain, source):
        """As much of SPF as the zones here use: ip4, ip6, a, mx, all."""
        records = [t for t in self.texts(domain) if t.split(" ")[0] == "v=spf1"]
        if len(records) != 1:
            return "none" if not records else "permerror"
        for term in records[0].split()[1:]:
            sign, word = (term[0], term[1:]) if term[0] in "+-~?" else ("+", term)
            name, _, value = word.partition(":")
            if name == "all":
                hit = True
            elif name in ("ip4", "ip6"):
                hit = ipaddress.ip_address(source) in ipaddress.ip_network(value)
            elif name == "a":
                hit = self.leads_to(value or domain, source)
            elif name == "mx":
                hit = any(self.leads_to(r.exchange, source) for r in self.ask(value or domain, "MX"))
            else:
                return "permerror"
            if hit:
                return {"+": "pass", "-": "fail", "~": "softfail", "?": "neutral"}[sign]
        return "neutral"

    def dkim_domains(self, data):
        """d= of each signature that verifies."""
        good = []
        fields = [v for n, v in dkim.DKIM(data).headers if n.lower() == b"dkim-signature"]
        for i, value in enumerate(fields):
            try:
                if dkim.DKIM(data).verify(idx=i, dnsfunc=lambda name, timeout=5: self.nsd.txt(name)):
                    good.append(dkim.parse_tag_value(value)[b"d"].decode())
            except dkim.DKIMException:
                pass
        return good

    def judge(self, message):
        if not message.sender:
            return None  # the bounce of what was refused here
        verdict = self.verdict(message)
        self.verdicts.append(verdict or "250")
        return verdict

    def verdict(self, message):
        letter = message_from_bytes(message.data)
        author = parseaddr(letter["From"] or "")[1].rpartition("@")[2]
        sender = message.sender.strip("<>").rpartition("@")[2] or message.helo
        signed = self.dkim_domains(message.data)
        source = self.source or message.peer[0]
        spf = self.spf(sender, source)
        policies = [t for t in self.texts(f"_dmarc.{author}") if t.startswith("v=DMARC1")]
        strict = any("adkim=s" in p for p in policies)
        if not self.reverse_is_good(source):
            return "550 5.7.25 The sending IP address has no PTR record, or it does not lead back"
        if not re.fullmatch(r"<[^@<>\s]+@[^@<>\s]+\.[^@<>\s]+>", (letter["Message-ID"] or "").strip()):
            return "550 5.7.1 Messages without a valid Message-ID are not accepted"
        if spf != "pass":
            return f"550 5.7.27 SPF did not pass for {sender} ({spf})"
        if not signed:
            return "550 5.7.30 DKIM did not pass"
        if not any(author == d or (not strict and author.endswith("." + d)) for d in signed):
            return f"550 5.7.26 no aligned signature of {author}"
        if not policies:
            return f"550 5.7.515 {author} has no DMARC record"
        return None
