# SPDX-License-Identifier: ISC
"""
A network of our own: two hosts with public-looking addresses, joined by a cable. What is started inside of
`with island.sender:` or `with island.world:` lives on that host.
"""

import ctypes
import os
import subprocess

from house import Skip

SENDER, WORLD = "192.0.2.10", "192.0.2.20"
SENDER6, WORLD6 = "2001:db8::10", "2001:db8::20"
CLONE_NEWNET = 0x40000000


class Host:
    """Entering it moves the calling thread, and whatever that starts then, into the host's network."""

    def __init__(self, name):
        self.name = name

    def __enter__(self):
        self.back = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        with open(f"/run/netns/{self.name}") as there:
            move(there.fileno())
        return self

    def __exit__(self, *e):
        move(self.back)
        os.close(self.back)


def move(fd):
    if ctypes.CDLL(None, use_errno=True).setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class Island:
    def __init__(self, gateway=None):
        """`gateway`: the sender's way out, an address of the world's."""
        if os.getuid() != 0:
            raise Skip("network namespaces need root")
        n = os.getpid()
        self.names = [f"pd{n}s", f"pd{n}w"]
        self.sender, self.world = map(Host, self.names)
        a, b = self.names
        steps = [f"netns add {a}", f"netns add {b}", f"-n {a} link add eth0 type veth peer name eth0 netns {b}"]
        for name, v4, v6 in ((a, SENDER, SENDER6), (b, WORLD, WORLD6)):
            steps += [f"-n {name} link set lo up", f"-n {name} addr add {v4}/24 dev eth0", f"-n {name} addr add {v6}/64 dev eth0 nodad",
                      f"-n {name} link set eth0 up"]
        if gateway:
            steps.append(f"-n {a} route add default via {gateway}")
        for step in steps:
            done = subprocess.run(["ip", *step.split()], capture_output=True, text=True)
            if done.returncode != 0:
                self.close()
                raise Skip(f"this machine makes no network namespaces: {step}: {done.stderr.strip()}")

    def close(self):
        for name in self.names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)
