# SPDX-License-Identifier: ISC
"""One postern under test: its folder, configuration, log and commands."""

import glob
import json
import os
import re
import shutil
import signal
import smtplib
import subprocess
import tempfile
from collections import deque

from zones import PATIENCE_S, Nsd, free_port, until

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("POSTERN_BUILD", os.path.join(TOP, "build"))
BIN = os.environ.get("POSTERN_BIN", os.path.join(BUILD, "cmd", "postern"))


class Skip(Exception):
    pass


# For the runner: what a failed test prints besides its traceback, of the daemons that it had last.
last_words = deque(maxlen=4)


def clean_environment(**extra):
    env = {k: v for k, v in os.environ.items() if not k.startswith("POSTERN_")}
    env.update(extra)
    return env


def group_lives(group):
    """Is a process of the group alive? One that is dead and not yet buried does not count."""
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            with open(path) as f:
                state, _, pgrp = f.read().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(pgrp) == group and state not in "ZX":
            return True
    return False


class Postern:
    """
    Directives go into the file as given; spool, state, control and one plain
    loopback listener come by themselves unless named.
    """

    def __init__(self, config="", env=None, dir=None, listen=True):
        self.dir = dir or tempfile.mkdtemp(prefix="e2e-postern-")
        self.port = free_port()
        self.env = clean_environment(**(env or {}))
        self.process = None
        self.conf = f"{self.dir}/postern.conf"
        self.log_path = f"{self.dir}/log"
        self.base = (f"spool {self.dir}/spool\nstate {self.dir}/state\ncontrol {self.dir}/control\nuser-account root\n"
                     + (f"listen 127.0.0.1:{self.port}\n" if listen else ""))
        self.configure(config)

    def configure(self, config):
        with open(self.conf, "w") as f:
            f.write(self.base + config + "\n")

    def start(self, wait=True):
        self.process = subprocess.Popen([BIN, "run", "-c", self.conf], stdin=subprocess.DEVNULL, stdout=open(f"{self.dir}/out", "ab"),
                                        stderr=open(self.log_path, "ab"), env=self.env, start_new_session=True)
        if wait:
            count = len(self.events("ready")) + 1
            until(lambda: self.process.poll() is not None or len(self.events("ready")) >= count, what="ready")
            if self.process.poll() is not None:
                raise AssertionError(f"postern ended with {self.process.returncode}:\n{self.log()[-3000:]}")
        return self

    def stop(self, seconds=120):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(seconds)
        code = self.process.returncode if self.process else None
        self.process = None
        return code

    def close(self):
        last_words.append(self.story())
        if self.process and self.process.poll() is None:
            try:
                self.stop()
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                raise
        if not os.environ.get("KEEP"):
            shutil.rmtree(self.dir, ignore_errors=True)

    def kill(self):
        """kill -9 of all roles at once, and the wait until they are gone: only then their locks and ports are free."""
        group = self.process.pid
        os.killpg(group, signal.SIGKILL)
        self.process.wait()
        self.process = None
        until(lambda: not group_lives(group), what="all roles are dead")

    def story(self):
        """What happened here, for people: how often which event, and the end of the log."""
        lines = self.log().splitlines()
        counts = {}
        for line in lines:
            found = re.search(r'(?:\bev=|"ev":")([\w-]+)', line)
            if found:
                counts[found[1]] = counts.get(found[1], 0) + 1
        state = "not running" if self.process is None else "running" if self.process.poll() is None else f"ended with {self.process.returncode}"
        return "\n".join([f"---- postern in {self.dir}, {state}", "events: " + ", ".join(f"{n} {name}" for name, n in counts.items()),
                          f"the last of {len(lines)} lines of its log:", *(line[:2000] for line in lines[-40:])])

    def run(self, *args, check=None, stdin=None):
        r = subprocess.run([BIN, *args[:1], "-c", self.conf, *args[1:]], capture_output=True, text=True, env=self.env,
                           input=stdin if stdin is not None else "", timeout=PATIENCE_S)
        if check is not None and r.returncode != check:
            raise AssertionError(f"postern {' '.join(args)}: exit {r.returncode}, expected {check}\n{r.stdout}{r.stderr}")
        return r

    def status(self):
        """Of all roles: the supervisor waits two seconds for those that are slow to say something, and then leaves them out."""
        def whole():
            told = json.loads(self.run("status", "--json", check=0).stdout)
            return told if "queue_messages" in told else None
        return until(whole, "status")

    def queue(self, *args):
        def listed():
            r = self.run("queue", "list", "--json", *args)
            assert r.returncode in (0, 3, 75), r.stderr
            return r if r.returncode != 75 else None  # 75: it has just begun
        r = until(listed, "a list of the queue")
        return [json.loads(line) for line in r.stdout.splitlines() if line.strip()]

    def queue_messages(self):
        return int(self.status()["queue_messages"])

    def log(self):
        try:
            return open(self.log_path, errors="replace").read()
        except FileNotFoundError:
            return ""

    def events(self, name=None):
        """The log lines as dicts, of one event."""
        out = []
        for line in self.log().splitlines():
            if line.startswith("ts=") and (name is None or f" ev={name} " in line + " "):
                out.append(parse_logfmt(line))
        return out

    def wait_event(self, name, count=1, **fields):
        def found():
            got = [e for e in self.events(name) if all(e.get(k) == v for k, v in fields.items())]
            return got if len(got) >= count else None
        return until(found, f"{count} x ev={name} {fields}")

    def role_pids(self, role):
        out = subprocess.run(["pgrep", "-g", str(self.process.pid), "-f", f"role {role}"], capture_output=True, text=True)
        return [int(p) for p in out.stdout.split()]

    def smtp(self, port=None, timeout=PATIENCE_S):
        return smtplib.SMTP("127.0.0.1", port or self.port, local_hostname="client.example", timeout=timeout)

    def send(self, sender, rcpts, message, port=None, options=()):
        with self.smtp(port) as s:
            return s.sendmail(sender, rcpts, message, mail_options=list(options))


def parse_logfmt(line):
    fields, i = {}, 0
    while i < len(line):
        eq = line.find("=", i)
        if eq < 0:
            break
        key = line[i:eq]
        if eq + 1 < len(line) and line[eq + 1] == '"':
            j, value = eq + 2, []
            while j < len(line) and line[j] != '"':
                if line[j] == "\\":
                    j += 1
                value.append(line[j])
                j += 1
            fields[key] = "".join(value)
            i = j + 2
        else:
            end = line.find(" ", eq)
            end = len(line) if end < 0 else end
            fields[key] = line[eq + 1:end]
            i = end + 1
    return fields


def certificate(directory, name, *more):
    """A self-signed certificate for loopback use; paths of certificate and key."""
    cert, key = f"{directory}/{name}.crt", f"{directory}/{name}.key"
    names = ",".join([f"DNS:{n}" for n in (name, *more)] + ["IP:127.0.0.1"])
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", cert,
                    "-days", "30", "-subj", f"/CN={name}", "-addext", f"subjectAltName={names}"], check=True, capture_output=True)
    os.chmod(key, 0o600)
    return cert, key


__all__ = ["BIN", "BUILD", "PATIENCE_S", "TOP", "Nsd", "Postern", "Skip", "certificate", "clean_environment", "free_port", "until"]
