# SPDX-License-Identifier: ISC
"""The state that tests share with fail.so."""

import mmap
import struct

CALLS = ["none", "write", "pwritev", "fdatasync", "fsync", "fallocate", "openat", "renameat", "unlinkat", "malloc", "fork", "thread",
         "sendmsg", "recvmsg", "socket"]
NUMBERS = ["armed", "call", "nth", "error", "fired", "lie"]
ROLE = 4 * len(NUMBERS)
COUNTS = ROLE + 16


class State:
    """struct state of fail.c, in a file."""

    def __init__(self, path):
        with open(path, "wb") as f:
            f.write(bytes(4096))
        self.file = open(path, "r+b")
        self.map = mmap.mmap(self.file.fileno(), 4096)

    def set(self, name, value):
        struct.pack_into("=I", self.map, 4 * NUMBERS.index(name), value)

    def get(self, name):
        return struct.unpack_from("=I", self.map, 4 * NUMBERS.index(name))[0]
