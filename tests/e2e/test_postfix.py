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
message_size_limit = 60000000
"""


class Namespace:
    """A host of its own at 198.18.77.25, reached from here over a veth pair."""

    def __init__(self, name="postern-e2e"):
        if os.getuid() != 0:
            raise Skip("network namespaces need root")
        self.name = name
        subprocess.run(["ip", "netns", "del", name], capture_output=True)
        steps = [f"netns add {name}", f"link add pst0 type veth peer name pst1 netns {name}", "addr add 198.18.77.1/24 dev pst0", "link set pst0 up",
                 f"-n {name} addr add 198.18.77.25/24 dev pst1", f"-n {name} link set pst1 up", f"-n {name} link set lo up"]
        for step in steps:
            if subprocess.run(["ip", *step.split()], capture_output=True).returncode != 0:
                self.close()
                raise Skip("this machine makes no network namespaces")

    def close(self):
        subprocess.run(["ip", "link", "del", "pst0"], capture_output=True)
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True)


def test_real_postfix_in_its_own_network():
    """a real Postfix in a network namespace takes our mail, unchanged and verified"""
    space = Namespace()
    postfix = None
    try:
        with world(zones={"a.example": mx_zone([(10, "mx1", "198.18.77.25")])}) as w:
            postfix = Postfix("198.18.77.25", w.port, config=MAILBOX, netns=space.name)
            bodies = ["Hello\r\n", ".\r\n..\r\nx\r\n", "gr\u00fc\u00dfe\r\n", "x" * 998 + "\r\n"]
            sent = [letter(body=b) for b in bodies]
            for message in sent:
                w.postern.send(SENDER, ["b@a.example"], message, options=["BODY=8BITMIME"])
            w.postern.wait_event("delivered", len(sent), 30)
            got = until(lambda: (m := postfix.messages()) and len(m) == len(sent) and m, 20, "Postfix's mailbox")
            for stored in got:
                wire = stored.replace(b"\n", b"\r\n")
                at = wire.index(b"DKIM-Signature:")  # above it stands what Postfix added
                assert any(wire.endswith(m) for m in sent)
                assert_signed(wire[at:], w.nsd, "sender.example")
    finally:
        if postfix:
            postfix.close()
        space.close()
