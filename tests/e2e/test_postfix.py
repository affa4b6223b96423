# SPDX-License-Identifier: ISC
import os
import subprocess

from house import Skip, until
from postfix import Postfix
from verify import assert_signed
from world import SENDER, letter, mx_zone, world

MAILBOX = """
virtual_mailbox_domains = a.example
virtual_mailbox_maps = static:inbox/
virtual_mailbox_base = {dir}/mail
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
"""


class Namespace:
    """A host of its own, reached from here over a veth pair; names and network differ from run to run."""

    def __init__(self):
        if os.getuid() != 0:
            raise Skip("network namespaces need root")
        n = os.getpid()
        self.name, self.here, there = f"postern{n}", f"pst{n}a", f"pst{n}b"
        network = f"198.18.{n % 250}"
        self.address = f"{network}.25"
        steps = [f"netns add {self.name}", f"link add {self.here} type veth peer name {there} netns {self.name}",
                 f"addr add {network}.1/24 dev {self.here}", f"link set {self.here} up", f"-n {self.name} addr add {self.address}/24 dev {there}",
                 f"-n {self.name} link set {there} up", f"-n {self.name} link set lo up"]
        for step in steps:
            done = subprocess.run(["ip", *step.split()], capture_output=True, text=True)
            if done.returncode != 0:
                self.close()
                raise Skip(f"this machine makes no network namespaces: {done.stderr.strip()}")

    def close(self):
        subprocess.run(["ip", "link", "del", self.here], capture_output=True)
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True)


def test_real_postfix_in_its_own_network():
    """a real Postfix in a network namespace takes our mail, unchanged and verified"""
    space = Namespace()
    postfix = None
    try:
        with world(zones={"a.example": mx_zone([(10, "mx1", space.address)])}) as w:
            postfix = Postfix(space.address, w.port, config=MAILBOX, netns=space.name)
            bodies = ["Hello\r\n", ".\r\n..\r\nx\r\n", "gr\u00fc\u00dfe\r\n", "x" * 998 + "\r\n"]
            sent = [letter(body=b) for b in bodies]
            for message in sent:
                w.postern.send(SENDER, ["b@a.example"], message, options=["BODY=8BITMIME"])
            w.postern.wait_event("delivered", len(sent))
            got = until(lambda: (m := postfix.messages()) and len(m) == len(sent) and m, "Postfix's mailbox")
            for stored in got:
                wire = stored.replace(b"\n", b"\r\n")
                at = wire.index(b"DKIM-Signature:")  # above it stands what Postfix added
                assert any(wire.endswith(m) for m in sent)
                assert_signed(wire[at:], w.nsd, "sender.example")
    finally:
        if postfix:
            postfix.close()
        space.close()
