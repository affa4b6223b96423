# SPDX-License-Identifier: ISC
"""A disk whose every write and flush is recorded, and the disks that a loss of power could leave."""

import bisect
import errno
import mmap
import os
import random
import shutil
import struct
import subprocess
import tempfile
import time

MIB = 1024 * 1024
HEAD = struct.Struct("=IIQQ")  # struct entry of recorder.c
SECTOR = 512

# Program, arguments, size, options of mount, and the unit that a torn write is cut at: btrfs
# keeps only one copy of its superblock at this size, and expects it to be written as one.
FILE_SYSTEMS = {
    "ext4": (["mkfs.ext4", "-q", "-F"], 96 * MIB, "", SECTOR),
    "xfs": (["mkfs.xfs", "-q", "-f"], 320 * MIB, "nouuid", SECTOR),
    "btrfs": (["mkfs.btrfs", "-q", "-f"], 256 * MIB, "", 4096),
}


def why_not():
    """The reason why no disk can be recorded here, or None."""
    if os.getuid() != 0:
        return "needs root"
    for path in ("/dev/fuse", "/dev/loop-control"):
        try:
            os.close(os.open(path, os.O_RDWR))
        except OSError as e:
            return f"{path}: {e.strerror}"
    return None


def has(file_system):
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    if shutil.which(FILE_SYSTEMS[file_system][0][0], path=path) is None:
        return False
    kernel = open("/proc/filesystems").read().split()
    return file_system in kernel or subprocess.run(["modprobe", "-q", file_system], stderr=subprocess.DEVNULL).returncode == 0


def mount(image, directory, file_system, read_only=False):
    """Mount a file. False if the file system does not take it."""
    options = ",".join(o for o in ("loop", "ro" if read_only else "", FILE_SYSTEMS[file_system][2]) if o)
    for _ in range(20):
        done = subprocess.run(["mount", "-t", file_system, "-o", options, image, directory], capture_output=True, text=True)
        if done.returncode == 0:
            return True
        if "busy" not in done.stderr and "loop device" not in done.stderr:
            return False
        time.sleep(0.1)
    return False


def unmount(directory):
    for _ in range(100):
        if subprocess.run(["umount", directory], capture_output=True).returncode == 0 or not os.path.ismount(directory):
            return
        time.sleep(0.05)
    subprocess.run(["umount", "-l", directory], capture_output=True)


class Recording:
    """A new file system on a recorded disk, mounted at `mounted` until end()."""

    def __init__(self, recorder, file_system):
        self.file_system = file_system
        make, size, _, self.unit = FILE_SYSTEMS[file_system]
        shm = "/dev/shm" if os.path.isdir("/dev/shm") and os.statvfs("/dev/shm").f_bavail * 4096 > 2048 * MIB else None
        self.dir = tempfile.mkdtemp(prefix="crash-", dir=shm)
        os.chmod(self.dir, 0o755)
        self.image, self.base, self.log = (f"{self.dir}/{name}" for name in ("image", "base", "log"))
        self.fuse, self.mounted = f"{self.dir}/fuse", f"{self.dir}/mounted"
        self.process = None
        os.mkdir(self.fuse)
        os.mkdir(self.mounted)
        with open(self.image, "wb") as f:
            f.truncate(size)
        env = dict(os.environ, PATH=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        subprocess.run([*make, self.image], check=True, env=env, stdout=subprocess.DEVNULL)
        copy_sparse(self.image, self.base)
        self.process = subprocess.Popen([recorder, self.fuse, self.image, self.log], stdout=subprocess.PIPE)
        if self.process.stdout.readline() != b"mounted\n" or not mount(f"{self.fuse}/disk", self.mounted, file_system):
            self.close()
            raise RuntimeError(f"cannot mount {file_system} on a recorded disk")

    def position(self):
        """All that has been promised until now was recorded before this place of the log."""
        return os.stat(self.log).st_size

    def end(self):
        if os.path.ismount(self.mounted):
            unmount(self.mounted)
        if os.path.ismount(self.fuse):
            unmount(self.fuse)
        if self.process:
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process.stdout.close()
            self.process = None

    def close(self):
        self.end()
        shutil.rmtree(self.dir, ignore_errors=True)


def copy_sparse(source, target):
    with open(source, "rb") as a, open(target, "wb") as b:
        size = os.fstat(a.fileno()).st_size
        b.truncate(size)
        at = 0
        while at < size:
            try:
                at = os.lseek(a.fileno(), at, os.SEEK_DATA)
            except OSError as e:
                if e.errno == errno.ENXIO:
                    return
                raise
            end = os.lseek(a.fileno(), at, os.SEEK_HOLE)
            os.lseek(a.fileno(), at, os.SEEK_SET)
            os.lseek(b.fileno(), at, os.SEEK_SET)
            left = end - at
            while left > 0:
                left -= os.sendfile(b.fileno(), a.fileno(), None, left)
            at = end


class Entry:
    __slots__ = ("flush", "offset", "length", "data", "end", "time")


class Replay:
    """Crash images of an ended recording. Points must be asked for in rising order."""

    def __init__(self, recording):
        self.recording = recording
        self.file = open(recording.log, "rb")
        self.map = mmap.mmap(self.file.fileno(), 0, prot=mmap.PROT_READ)
        self.entries = self.index()
        self.ends = [e.end for e in self.entries]
        self.flushes = [i for i, e in enumerate(self.entries) if e.flush]
        self.durable = f"{recording.dir}/durable"
        copy_sparse(recording.base, self.durable)
        self.done = 0  # entries that `durable` holds
        self.images = 0

    def index(self):
        entries, at = [], 0
        while at + HEAD.size <= len(self.map):
            kind, length, offset, ns = HEAD.unpack_from(self.map, at)
            e = Entry()
            e.flush, e.offset, e.length, e.data, e.time = kind == ord("F"), offset, length, at + HEAD.size, ns / 1e9
            at = e.end = e.data + length
            entries.append(e)
        return entries

    def time_at(self, position):
        return self.entries[max(0, bisect.bisect_right(self.ends, position) - 1)].time

    def image(self, position, rng):
        """
        The disk as it may be if the power goes at `position` of the log: all up to the
        last flush, and of what came later as much as `rng` gives. Its path, a new one each time: a
        loop device may outlive its mount for a moment, and mount(8) would take it again with all it has cached.
        """
        upto = bisect.bisect_right(self.ends, position)
        flushed = bisect.bisect_left(self.flushes, upto)
        firm = self.flushes[flushed - 1] + 1 if flushed else 0
        with open(self.durable, "r+b", buffering=0) as f:
            for e in self.entries[self.done:firm]:
                if not e.flush:
                    self.put(f, e, 0, e.length)
        self.done = max(self.done, firm)
        self.images += 1
        path = f"{self.recording.dir}/crashed{self.images}"
        copy_sparse(self.durable, path)
        with open(path, "r+b", buffering=0) as f:
            self.lose(f, self.entries[firm:upto], rng)
        return path

    def put(self, f, e, begin, end):
        f.seek(e.offset + begin)
        f.write(self.map[e.data + begin:e.data + end])

    def lose(self, f, later, rng):
        """What a disk's cache does without a flush: nothing, all, any writes, any sectors, any first part."""
        way = rng.choice(("none", "all", "writes", "sectors", "sectors", "first"))
        chance = rng.random()
        last = rng.randrange(len(later) + 1) if way == "first" else 0
        unit = self.recording.unit
        for i, e in enumerate(later):
            if way == "all" or (way == "writes" and rng.random() < chance) or (way == "first" and i < last):
                self.put(f, e, 0, e.length)
            elif way == "sectors" or (way == "first" and i == last):
                for at in range(0, e.length, unit):
                    if rng.random() < chance:
                        self.put(f, e, at, min(at + unit, e.length))

    def close(self):
        self.map.close()
        self.file.close()


__all__ = ["FILE_SYSTEMS", "MIB", "Recording", "Replay", "has", "mount", "unmount", "why_not", "random"]
