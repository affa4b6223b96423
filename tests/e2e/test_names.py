# SPDX-License-Identifier: ISC
"""A name server that lies, between postern and an honest one. libunbound asks; what counts is what becomes of the mail."""

import random
import socket
import threading

from house import free_port, until
from world import SENDER, letter, mx_zone, world

HONEST, WRONG = "127.0.0.2", "127.0.0.66"


class Liar:
    """
    Asks the honest server and spoils the answers. `lies`: {end of a name: function(self, question, honest reply, send)};
    send(octets, socket=None) gives an answer, from our address and port unless another socket is named.
    """

    def __init__(self, nsd_port, lies):
        self.nsd_port, self.lies = nsd_port, dict(lies)
        self.port = free_port()
        self.udp = self.bound(socket.SOCK_DGRAM, "127.0.0.1", self.port)
        self.elsewhere = [self.bound(socket.SOCK_DGRAM, "127.0.0.1", free_port()), self.bound(socket.SOCK_DGRAM, "127.0.0.77", self.port)]
        self.tcp = self.bound(socket.SOCK_STREAM, "127.0.0.1", self.port)
        self.tcp.listen(50)
        self.tcp_asked = 0
        self.asked = []
        threading.Thread(target=self.serve_udp, daemon=True).start()
        threading.Thread(target=self.serve_tcp, daemon=True).start()

    @staticmethod
    def bound(kind, host, port):
        s = socket.socket(socket.AF_INET, kind)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((host, port))
        return s

    def close(self):
        for s in [self.udp, self.tcp, *self.elsewhere]:
            s.close()

    def respond(self, octets, send):
        import dns.message
        import dns.query
        question = dns.message.from_wire(octets)
        name = question.question[0].name.to_text().rstrip(".").lower()
        self.asked.append(name)
        reply = dns.query.udp(question, "127.0.0.1", port=self.nsd_port, timeout=30, ignore_unexpected=True)
        lie = next((f for end, f in self.lies.items() if name.endswith(end)), None)
        if lie is None:
            send(reply.to_wire())
        else:
            lie(self, question, reply, send)

    def serve_udp(self):
        while True:
            try:
                octets, peer = self.udp.recvfrom(4096)
            except OSError:
                return

            def send(answer, source=None, peer=peer):
                (source or self.udp).sendto(answer, peer)
            send.by_tcp = False
            threading.Thread(target=self.quietly, args=(octets, send), daemon=True).start()

    def serve_tcp(self):
        while True:
            try:
                s, _ = self.tcp.accept()
            except OSError:
                return
            self.tcp_asked += 1
            threading.Thread(target=self.one_tcp, args=(s,), daemon=True).start()

    def one_tcp(self, s):
        with s:
            s.settimeout(30)

            def send(answer, source=None):
                s.sendall(len(answer).to_bytes(2, "big") + answer)
            send.by_tcp = True
            head = s.recv(2)
            if len(head) == 2:
                self.quietly(s.recv(int.from_bytes(head, "big")), send)

    def quietly(self, octets, send):
        try:
            self.respond(octets, send)
        except Exception:
            pass  # no answer is an answer, too


def forged(question, address=WRONG):
    """All mail and all hosts are at `address`, says an answer that fits the question."""
    import dns.message
    import dns.rdatatype
    import dns.rrset
    reply = dns.message.make_response(question, recursion_available=True)
    asked = question.question[0]
    if asked.rdtype == dns.rdatatype.MX:
        reply.answer.append(dns.rrset.from_text(asked.name, 600, "IN", "MX", "1 trap." + asked.name.to_text()))
    elif asked.rdtype == dns.rdatatype.A:
        reply.answer.append(dns.rrset.from_text(asked.name, 600, "IN", "A", address))
    return reply


def other_ids(liar, question, reply, send):
    for _ in range(20):
        fake = forged(question)
        fake.id = question.id ^ random.randrange(1, 65536)
        send(fake.to_wire())
    send(reply.to_wire())


def other_places(liar, question, reply, send):
    for s in liar.elsewhere:
        send(forged(question).to_wire(), s)
    send(reply.to_wire())


def other_question(liar, question, reply, send):
    fake = forged(question)
    import dns.name
    fake.question[0].name = dns.name.from_text("elsewhere.example.")
    send(fake.to_wire())


def other_owner(liar, question, reply, send):
    """The question is right, the records are of a name that nobody asked for."""
    import dns.name
    fake = forged(question)
    for rrset in fake.answer:
        rrset.name = dns.name.from_text("elsewhere.example.")
    send(fake.to_wire())


def question_returned(liar, question, reply, send):
    """Records, and no word that this is an answer."""
    import dns.flags
    fake = forged(question)
    fake.flags &= ~dns.flags.QR
    send(fake.to_wire())


def truncated(liar, question, reply, send):
    """Says that there is more by TCP, and there hangs up."""
    import dns.flags
    fake = forged(question)
    fake.flags |= dns.flags.TC
    if not send.by_tcp:
        send(fake.to_wire())


def garbage(liar, question, reply, send):
    send(question.to_wire()[:2] + b"\x81\x80" + random.randbytes(random.randrange(500)))


def cut(liar, question, reply, send):
    send(forged(question).to_wire()[:-3])


def many_records(liar, question, reply, send):
    """Counts in the header that are not true."""
    octets = bytearray(forged(question).to_wire())
    octets[6:8] = b"\xff\xff"
    send(bytes(octets))


def never(liar, question, reply, send):
    pass


# Whoever believes the true answer delivers at once; all others wait until there is one.
FORGERIES = {"ids.example": other_ids, "places.example": other_places}
SILENCING = {"question.example": other_question, "returned.example": question_returned, "truncated.example": truncated,
             "garbage.example": garbage, "cut.example": cut, "counts.example": many_records, "never.example": never}


def liars_world(zones, receivers, config=""):
    return world(zones=zones, receivers=receivers, config=config)


def ask_liar(w, liar, config=""):
    w.postern.configure(w.config.replace(f"@{w.nsd.port}", f"@{liar.port}") + config)
    w.postern.run("reload", check=0)


def test_forged_answers_deliver_nothing():
    """wrong ids, ports, addresses, questions, cut and garbled answers: mail goes to the true host or waits for it, and never to the forged one"""
    zones = {name: mx_zone([(10, "mx1", HONEST)]) for name in (*FORGERIES, *SILENCING)}
    with liars_world(zones, {HONEST: {}, WRONG: {}}) as w:
        liar = Liar(w.nsd.port, {**FORGERIES, **SILENCING})
        try:
            ask_liar(w, liar)
            pid = w.postern.role_pids("delivery")
            for name in zones:
                w.postern.send(SENDER, ["b@" + name], letter(to="b@" + name))
            w.receivers[HONEST].wait(len(FORGERIES))
            until(lambda: {e["dom"] for e in w.postern.events("deferred")} >= set(SILENCING), what="all the others to be deferred")
            until(lambda: w.postern.queue_messages() == len(SILENCING), what="only those that wait")
            assert not w.postern.events("bounced")
            assert all(e["dsn"].startswith("4.4.") for e in w.postern.events("deferred")), w.postern.events("deferred")
            assert w.receivers[WRONG].connections == 0 and w.postern.role_pids("delivery") == pid
            assert liar.tcp_asked > 0 and all(any(asked.endswith(name) for asked in liar.asked) for name in zones)
            # Once the truth is told it counts: nothing that was forged is kept.
            liar.lies.clear()

            def again():
                w.postern.run("queue", "retry", "--all")
                return len(w.receivers[HONEST].messages) == len(zones)
            until(again, "all mail at the true host")
            assert w.receivers[WRONG].connections == 0 and not w.postern.events("role-died")
        finally:
            liar.close()


def test_records_of_another_name_are_none():
    """an answer that only has records of a name that nobody asked for leads nowhere"""
    with liars_world({"owner.example": mx_zone([(10, "mx1", HONEST)])}, {HONEST: {}, WRONG: {}}) as w:
        liar = Liar(w.nsd.port, {"owner.example": other_owner})
        try:
            ask_liar(w, liar)
            w.postern.send(SENDER, ["b@owner.example"], letter(to="b@owner.example"))
            until(lambda: w.postern.events("deferred") or w.postern.events("bounced"), what="an outcome")
            assert w.receivers[WRONG].connections == 0 and not w.receivers[HONEST].messages
        finally:
            liar.close()


def test_rings_of_aliases_end():
    """aliases that lead to each other, and a chain that is too long, end in a deferral; a chain of three is followed"""
    zones = {"ring.example": "r1 60 IN CNAME r2\nr2 60 IN CNAME r3\nr3 60 IN CNAME r1\nself 60 IN CNAME self\nmx 60 IN MX 10 r1",
             "chain.example": "\n".join(f"c{i} 60 IN CNAME c{i + 1}" for i in range(40)) + f"\nc40 60 IN MX 10 host\nhost 60 IN A {HONEST}\n"
                              f"s1 60 IN CNAME s2\ns2 60 IN CNAME s3\ns3 60 IN MX 10 host"}
    with liars_world(zones, {HONEST: {}}) as w:
        lost = ["r1.ring.example", "self.ring.example", "mx.ring.example", "c0.chain.example"]
        for name in [*lost, "s1.chain.example"]:
            w.postern.send(SENDER, ["b@" + name], letter(to="b@" + name))
        w.receivers[HONEST].wait(1)
        until(lambda: len({e["dom"] for e in w.postern.events("deferred")}) >= len(lost), what="an outcome of each")
        until(lambda: w.postern.queue_messages() == len(lost), what="only those that wait")
        assert not w.postern.events("bounced")
        assert not w.postern.events("role-died")


def test_fifty_mx_hosts():
    """of 50 MX hosts the best that answers gets the mail, behind nine that do not; where none does it waits"""
    dead = [(i, f"dead{i}", f"127.0.7.{i}") for i in range(1, 51)]
    zones = {"fifty.example": mx_zone(dead[:9] + [(10, "mx", HONEST)] + dead[10:]), "deaf.example": mx_zone(dead)}
    with liars_world(zones, {HONEST: {}}) as w:
        w.postern.send(SENDER, ["b@fifty.example"], letter(to="b@fifty.example"))
        w.receivers[HONEST].wait(1)
        w.postern.send(SENDER, ["b@deaf.example"], letter(to="b@deaf.example"))
        assert w.postern.wait_event("deferred")[0]["dom"] == "deaf.example"
        until(lambda: w.postern.queue_messages() == 1, what="one that waits")


def test_mx_inside():
    """MX hosts with private, loopback, link-local and own addresses get nothing unless the configuration allows it"""
    inside = {"private": "10.1.2.3", "home": "192.168.1.1", "carrier": "100.64.0.1", "metadata": "169.254.169.254", "loop": "127.0.0.1",
              "other-loop": HONEST, "any": "0.0.0.0", "many": "255.255.255.255", "multi": "224.0.0.1"}
    six = {"six-loop": "::1", "six-mapped": "::ffff:127.0.0.2", "six-local": "fe80::1", "six-private": "fd00::1"}
    zones = {f"{name}.example": mx_zone([(10, "mx", address)]) for name, address in {**inside, **six}.items()}
    with liars_world(zones, {HONEST: {}}) as w:
        w.postern.configure(w.config.replace("private-mx allow", "private-mx refuse").replace("ipv6 off", ""))
        w.postern.run("reload", check=0)
        for name in zones:
            w.postern.send(SENDER, ["b@" + name], letter(to="b@" + name))
        until(lambda: {e["dom"] for e in w.postern.events("bounced") + w.postern.events("deferred") if e["dom"] in zones} == set(zones), what="an outcome of each")
        assert w.receivers[HONEST].connections == 0
        outcomes = {e["dom"]: e for e in w.postern.events("bounced") + w.postern.events("deferred")}
        for name in inside:
            assert "private-mx allow" in outcomes[f"{name}.example"]["msg"], outcomes[f"{name}.example"]
        assert not [e for e in w.postern.events("delivered") if e["dom"] in zones]
        assert not [e for e in w.postern.events("accept") if e["client"] != "127.0.0.1"]


def test_giant_texts():
    """a TXT record of 60,000 octets where our key should be holds up mail, and nothing else; the true one lets it go"""
    with liars_world({"a.example": mx_zone([(10, "mx1", HONEST)])}, {HONEST: {}}) as w:
        import dns.rrset

        def giant(liar, question, reply, send):
            import dns.message
            fake = dns.message.make_response(question, recursion_available=True)
            text = " ".join('"' + "v=DKIM1; " + "x" * 246 + '"' for _ in range(235))
            fake.answer.append(dns.rrset.from_text(question.question[0].name, 1, "IN", "TXT", text))
            send(fake.to_wire(max_size=65535))
        liar = Liar(w.nsd.port, {"_domainkey.sender.example": giant})
        try:
            w.postern.stop()
            ask_liar_config = w.config.replace(f"@{w.nsd.port}", f"@{liar.port}")
            w.postern.configure(ask_liar_config)
            w.postern.start()
            pid = w.postern.role_pids("delivery")
            w.postern.send(SENDER, ["b@a.example"], letter())
            until(lambda: any("_domainkey" in name for name in liar.asked), what="the question for the key")
            until(lambda: w.postern.queue_messages() == 1 and w.postern.events("deferred") or w.receivers[HONEST].messages, what="an outcome")
            assert not w.receivers[HONEST].messages, "a text that is no key was taken for one"
            liar.lies.clear()

            def again():
                w.postern.run("queue", "retry", "--all")
                return w.receivers[HONEST].messages
            until(again, "the mail to go")
            assert w.postern.role_pids("delivery") == pid and not w.postern.events("role-died")
        finally:
            liar.close()
