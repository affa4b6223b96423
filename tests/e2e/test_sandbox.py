# SPDX-License-Identifier: ISC
"""The sandbox as the kernel sees it, round running roles; what they may do inside is in tests/unit/proc/test_rights.c."""

import base64
import errno
import os
import re
import shutil
import signal
import stat
import subprocess
import sys

sys.path.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "crash"))

import failing  # noqa: E402
from house import BIN, BUILD, PATIENCE_S, Postern, Skip, certificate, free_port, until  # noqa: E402
from world import LOGINS, SENDER, letter, mx_zone, world  # noqa: E402

ONE = {"a.example": mx_zone([(10, "mx1", "127.0.0.2")])}
ROLES = ("smtpd", "auth", "queue", "delivery", "keyd")


def field(pid, name):
    return re.search(rf"^{name}:\s+(.*)$", open(f"/proc/{pid}/status").read(), re.MULTILINE).group(1)


def limit(pid, name):
    """The hard limit."""
    return re.search(rf"^{name}\s+(\S+)\s+(\S+)", open(f"/proc/{pid}/limits").read(), re.MULTILINE).group(2)


def in_force(w):
    return {(r["role"], r["index"]): r["sandbox"].split(",") for r in w.postern.status()["roles"]}


def need_seccomp(w):
    words = in_force(w)
    if not all("seccomp" in have and any(word.startswith("landlock") for word in have) for have in words.values()):
        raise Skip(f"this kernel or this build lacks a part: {words}")


def memory_of(pid):
    """(address, octets) of all that the process can read of itself."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in maps:
            span, rights = line.split()[:2]
            start, end = (int(x, 16) for x in span.split("-"))
            # A sanitizer's shadow is terabytes.
            if rights[0] != "r" or end - start > 1 << 30 or line.rstrip().endswith(("[vvar]", "[vsyscall]", "[vvar_vclock]")):
                continue
            mem.seek(start)
            try:
                yield start, mem.read(end - start)
            except OSError:
                continue


def secrets_of(pem):
    """Parts of a private key in the forms it takes in memory: the text, the octets, and a prime's limbs."""
    lines = [line for line in pem.splitlines() if line and not line.startswith("-----")]
    der = base64.b64decode("".join(lines))
    middle = len(der) // 2
    text = subprocess.run(["openssl", "pkey", "-text", "-noout"], input=pem, capture_output=True, text=True, check=True).stdout
    number = bytes.fromhex(re.search(r"^(?:priv|prime1):\s+([0-9a-f:\s]+)", text, re.MULTILINE).group(1).replace(":", "").replace("\n", "").replace(" ", ""))
    number = number[-32:] if number[0] == 0 or len(number) > 32 else number
    return {"text": lines[len(lines) // 2].encode()[:48], "octets": der[middle:middle + 32], "number": number, "limbs": number[::-1]}


def test_in_force():
    """every role runs under seccomp, without new privileges, cores, processes of its own; `status` says so"""
    with world(zones=ONE, config=LOGINS, receivers={"127.0.0.2": {}}) as w:
        need_seccomp(w)
        words = in_force(w)
        for role in ROLES:
            for pid in w.postern.role_pids(role):
                assert field(pid, "Seccomp") == "2", role
                assert field(pid, "NoNewPrivs") == "1", role
                assert limit(pid, "Max core file size") == "0", role
                assert (limit(pid, "Max processes") == "0") == (role != "queue"), role
                assert limit(pid, "Max address space") != "unlimited", role
        assert len(words) == len({k for k in words}) and {role for role, _ in words} == set(ROLES)
        assert "SANDBOX" in w.postern.run("status", check=0).stdout
        assert not w.postern.events("sandbox"), w.postern.events("sandbox")
        w.postern.send(SENDER, ["b@a.example"], letter())
        w.receivers["127.0.0.2"].wait(1)


def test_not_dumpable():
    """other processes of the same account may not look into a role or the supervisor"""
    if os.getuid() != 0:
        raise Skip("needs root")
    with world(zones=ONE, config=LOGINS, start=False) as w:
        os.chmod(w.postern.dir, 0o755)
        w.postern.base = w.postern.base.replace("user-account root", "user-account nobody")
        w.postern.configure(w.config)
        w.postern.start()
        pids = [(role, pid) for role in ROLES for pid in w.postern.role_pids(role)] + [("supervisor", w.postern.process.pid)]
        for role, pid in pids:
            # What is not dumpable belongs to root in /proc.
            assert os.stat(f"/proc/{pid}/mem").st_uid == 0, role
            r = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "cat", f"/proc/{pid}/maps"], capture_output=True)
            assert r.returncode != 0 and b"denied" in r.stderr, (role, r)


def test_keys_stay_in_keyd():
    """the octets of private keys, of DKIM and of a certificate, are in the memory of keyd and of nobody else: after the start, after mail and handshakes, a reload and a death"""
    if os.getuid() != 0:
        raise Skip("needs root")
    with world(zones=ONE, config=LOGINS, receivers={"127.0.0.2": {}}, start=False) as w:
        port, d = free_port(), w.postern.dir
        certificate(d, "mail.sender.example")
        w.postern.configure(w.config + f"listen 127.0.0.1:{port} starttls\ntls {d}/mail.sender.example.crt {d}/mail.sender.example.key\n")
        w.postern.start()
        keys = [f"{d}/mail.sender.example.key"]
        keys += [os.path.join(folder, name) for folder, _, names in os.walk(f"{d}/state") for name in names
                 if "PRIVATE KEY" in open(os.path.join(folder, name), errors="replace").read()]
        wanted = {f"{os.path.basename(k)} {form}": octets for k in keys for form, octets in secrets_of(open(k).read()).items()}
        assert len(keys) > 1

        def found(pid):
            return {name for _, block in memory_of(pid) for name, octets in wanted.items() if octets in block}

        def look(when):
            try:
                holds = set().union(*(found(pid) for pid in w.postern.role_pids("keyd")))
            except PermissionError:
                raise Skip("may not read the memory of processes")
            for k in keys:
                assert any(name.startswith(os.path.basename(k)) for name in holds), f"{when}: the search itself does not find {k}"
            for role in ("smtpd", "auth", "queue", "delivery", "doctor"):
                for pid in w.postern.role_pids(role):
                    try:
                        holds = found(pid)
                    except (FileNotFoundError, ProcessLookupError):
                        continue  # an exam of the doctor's has ended
                    assert not holds, (when, role, holds)
            assert not found(w.postern.process.pid), (when, "supervisor", found(w.postern.process.pid))

        look("after the start")
        for _ in range(3):
            with w.postern.smtp(port) as s:
                s.starttls()
                s.sendmail(SENDER, ["b@a.example"], letter())
        messages = w.receivers["127.0.0.2"].wait(3)
        assert all(b"DKIM-Signature:" in m.data for m in messages)
        look("after mail")
        w.postern.run("reload", check=0)
        look("after a reload")
        before = w.postern.role_pids("keyd")
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        until(lambda: len(w.postern.role_pids("keyd")) == len(before) and not set(before) & set(w.postern.role_pids("keyd")), what="new keyds")
        until(lambda: all(r["state"] == "ready" for r in w.postern.status()["roles"]), what="ready again")
        with w.postern.smtp(port) as s:
            s.starttls()
            s.sendmail(SENDER, ["b@a.example"], letter())
        w.receivers["127.0.0.2"].wait(4)
        look("after the death of keyd")
        stats = w.postern.status()
        assert int(stats["tls_signed"]) >= 1 and int(stats["signed"]) >= 1 and int(stats["refused"]) == 0, stats
        assert any(name.startswith("signed:sender.example/") for name in stats), stats


def test_keys_that_went_away():
    """a key whose file is gone when keyd starts anew holds up its own mail and nothing else"""
    with world(zones=ONE, receivers={"127.0.0.2": {}}, retry="1h") as w:
        w.postern.send(SENDER, ["b@a.example"], letter())
        w.receivers["127.0.0.2"].wait(1)
        paths = [f"{folder}/{name}" for folder, _, names in os.walk(f"{w.postern.dir}/state") for name in names if name.endswith(".pem")]
        keys = {path: open(path).read() for path in paths}
        for path in paths:
            with open(path, "w") as f:
                f.write("no key any more\n")
        before = w.postern.role_pids("keyd")
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        until(lambda: w.postern.events("key-unusable"), what="told")
        until(lambda: all(r["state"] == "ready" for r in w.postern.status()["roles"]), what="ready again")
        w.postern.send(SENDER, ["b@a.example"], letter())
        until(lambda: w.postern.events("deferred"), what="waiting")
        event = w.postern.events("deferred")[-1]
        assert event["why"] == "not-signed" and event["try"] == "0", event
        assert {e["file"] for e in w.postern.events("key-unusable")} <= set(paths)
        assert len(w.receivers["127.0.0.2"].messages) == 1
        assert any("could not be read" in row.get("trouble", "") for row in w.postern.status()["roles"]) or "could not be read" in w.postern.run("status").stdout
        for path in paths:
            with open(path, "w") as f:
                f.write(keys[path])
        # It goes as soon as the key is back, long before it is due.
        w.receivers["127.0.0.2"].wait(2)
        until(lambda: w.postern.events("key-usable"), what="told that all is well")


def test_a_key_that_could_not_be_read_once():
    """one failed open of a key file when keyd starts: it is read again by itself, and mail that waits for it goes at once"""
    if not os.path.exists(f"{BUILD}/tests/crash/fail.so"):
        raise Skip("not with sanitizers")
    with world(zones=ONE, receivers={"127.0.0.2": {}}, retry="1h", config="smtpd-processes 1\ndelivery-processes 1\n", start=False) as w:
        p = w.postern
        state = failing.State(f"{p.dir}/fault")
        p.env.update(LD_PRELOAD=f"{BUILD}/tests/crash/fail.so", FAULT_STATE=f"{p.dir}/fault")
        p.start()
        for nth in range(1, 20):
            state.arm("supervisor", "open", nth, errno.EMFILE)
            before, starts = p.role_pids("keyd"), len(p.events("role-died"))
            for pid in before:
                os.kill(pid, signal.SIGKILL)
            until(lambda: len(p.events("role-died")) > starts and p.role_pids("keyd") and all(r["state"] == "ready" for r in p.status()["roles"]), what="ready again")
            if p.events("key-unusable"):
                break
        state.disarm()
        event = p.events("key-unusable")[0]
        assert event["why"] == "Too many open files" and event["file"].endswith(".pem") and event["role"] == "supervisor", event
        p.send(SENDER, ["b@a.example"], letter())
        w.receivers["127.0.0.2"].wait(1)
        until(lambda: p.events("key-usable"), what="told that all is well")
        assert not p.events("reload"), p.log()


def test_links_in_the_spool():
    """a symbolic link in the spool is never followed, neither to read nor to write"""
    with world(zones=ONE, start=False) as w:
        target = w.postern.dir + "/target"
        with open(target, "w") as f:
            f.write("precious\n")
        w.postern.start()
        w.postern.send(SENDER, ["b@a.example"], letter())
        until(lambda: w.postern.queue_messages() == 1, what="queued")
        w.postern.stop()
        spool = w.postern.dir + "/spool"
        for name in ("paused.new", "paused", "1.hint", "9-0000000000000001.seg"):
            path = f"{spool}/{name}"
            if os.path.lexists(path):
                os.unlink(path)
            os.symlink(target, path)
        for name in [n for n in os.listdir(spool) if n.endswith(".hint") and not os.path.islink(f"{spool}/{n}")]:
            os.unlink(f"{spool}/{name}")
            os.symlink(target, f"{spool}/{name}")
        w.postern.start()
        w.postern.run("pause", "b.example")
        w.postern.stop()
        assert open(target).read() == "precious\n"


def test_spool_and_lock_as_links():
    """a LOCK that is a link, and a spool that everybody may write to, stop the start"""
    p = Postern("")
    try:
        os.mkdir(p.dir + "/spool", 0o700)
        os.symlink(p.dir + "/elsewhere", p.dir + "/spool/LOCK")
        r = p.run("run")
        assert r.returncode != 0 and "LOCK" in p.log() + r.stderr, r
        assert not os.path.exists(p.dir + "/elsewhere")
        os.unlink(p.dir + "/spool/LOCK")
        os.chmod(p.dir + "/spool", 0o777)
        r = p.run("run")
        assert r.returncode != 0 and "everybody may write" in p.log() + r.stderr, r
    finally:
        p.close()


def test_control_socket():
    """the control socket is closed to others: by its mode, and by asking the kernel who calls"""
    if os.getuid() != 0:
        raise Skip("needs root")
    with world(zones=ONE) as w:
        path = w.postern.dir + "/control"
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o660
        os.chmod(w.postern.dir, 0o755)
        as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/usr/bin/python3", "-c",
                     f"import socket; s = socket.socket(socket.AF_UNIX); s.settimeout(120); s.connect({path!r}); s.send(b'status\\n'); print(len(s.recv(9999)))"]
        r = subprocess.run(as_nobody, capture_output=True, text=True)
        assert r.returncode != 0 and "PermissionError" in r.stderr, r
        os.chmod(path, 0o666)
        r = subprocess.run(as_nobody, capture_output=True, text=True)
        assert r.stdout.strip() in ("0", ""), r
        w.postern.wait_event("control-refused")
        assert w.postern.status()


def test_tls_inside():
    """TLS and reloads of certificates work inside"""
    with world(zones=ONE, receivers={"127.0.0.2": {}}, start=False) as w:
        port = free_port()
        certificate(w.postern.dir, "mail.sender.example")
        d = w.postern.dir
        w.postern.configure(w.config + f"listen 127.0.0.1:{port} starttls\ntls {d}/mail.sender.example.crt {d}/mail.sender.example.key\n")
        w.postern.start()
        for _ in range(2):
            with w.postern.smtp(port) as s:
                s.starttls()
                s.sendmail(SENDER, ["b@a.example"], letter())
            certificate(w.postern.dir, "mail.sender.example")
            w.postern.run("reload", check=0)
        w.receivers["127.0.0.2"].wait(2)
        assert not w.postern.events("role-died")


def in_container(w, command, **popen):
    """As nobody, without capabilities, with a root that is read-only and one folder to write to."""
    if os.getuid() != 0 or not shutil.which("unshare") or not shutil.which("setpriv"):
        raise Skip("needs root, unshare and setpriv")
    d = w.postern.dir
    os.chmod(d, 0o755)
    open(w.postern.log_path, "a").close()
    subprocess.run(["chown", "-R", "nobody", d], check=True)
    script = (f"mount --make-rprivate / && mount --bind {d} {d} && mount -o remount,bind,ro / && "
              f"exec setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all {command}")
    return subprocess.Popen(["unshare", "--mount", "sh", "-c", script], stdin=subprocess.DEVNULL, env=w.postern.env, **popen)


def start_in_container(w, memlock):
    w.postern.process = in_container(w, f"prlimit --memlock={memlock} {BIN} run -c {w.postern.conf}", stdout=subprocess.DEVNULL,
                                     stderr=open(w.postern.log_path, "ab"), start_new_session=True)
    until(lambda: w.postern.process.poll() is not None or w.postern.events("ready"), what="ready")
    if w.postern.process.poll() is not None and "mount:" in w.postern.log():
        raise Skip("may not mount")
    w.postern.wait_event("ready")


def flags_of(pid):
    """[(start, end, flags)] of all mappings, as the kernel has them."""
    found = []
    for line in open(f"/proc/{pid}/smaps"):
        if span := re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line):
            found.append([int(span.group(1), 16), int(span.group(2), 16), ()])
        elif line.startswith("VmFlags:"):
            found[-1][2] = tuple(line.split()[1:])
    return found


def assert_rights(w):
    """What the kernel says of each role that has neither root nor capabilities."""
    words = in_force(w)
    for role in ROLES:
        for pid in w.postern.role_pids(role):
            assert field(pid, "CapEff") == field(pid, "CapPrm") == field(pid, "CapBnd") == "0000000000000000", role
            assert field(pid, "NoNewPrivs") == "1" and field(pid, "Seccomp") == "2", role
            assert limit(pid, "Max core file size") == "0" and limit(pid, "Max address space") != "unlimited", role
            assert (limit(pid, "Max processes") == "0") == (role != "queue"), role
    for (role, _), have in words.items():
        assert "seccomp" in have and any(word.startswith("landlock") for word in have), (role, have)
        assert "uid" not in have and "chroot" not in have, (role, have)
    for pid in [w.postern.process.pid] + [pid for role in ROLES for pid in w.postern.role_pids(role)]:
        for name in ("maps", "environ", "fd"):
            r = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "ls" if name == "fd" else "cat", f"/proc/{pid}/{name}"], capture_output=True)
            assert r.returncode != 0 and b"denied" in r.stderr, (pid, name, r)


def test_container():
    """a container: no capabilities, a root that is read-only, one folder to write to: all rights are given up, keys are locked and in keyd alone"""
    with world(zones=ONE, receivers={"127.0.0.2": {}}, start=False) as w:
        port, d = free_port(), w.postern.dir
        certificate(d, "mail.sender.example")
        w.postern.configure(w.config + f"listen 127.0.0.1:{port} starttls\ntls {d}/mail.sender.example.crt {d}/mail.sender.example.key\n")
        start_in_container(w, 8 << 20)
        need_seccomp(w)
        for _ in range(3):
            with w.postern.smtp(port) as s:
                s.starttls()
                s.sendmail(SENDER, ["b@a.example"], letter())
        assert all(b"DKIM-Signature:" in m.data for m in w.receivers["127.0.0.2"].wait(3))
        assert_rights(w)
        words = in_force(w)
        assert all(("memlock" in have) == (role == "keyd") for (role, _), have in words.items()), words
        assert not w.postern.events("keys-unlocked") and not w.postern.events("sandbox")
        keys = [f"{d}/mail.sender.example.key"]
        keys += [os.path.join(folder, name) for folder, _, names in os.walk(f"{d}/state") for name in names
                 if "PRIVATE KEY" in open(os.path.join(folder, name), errors="replace").read()]
        secrets = {f"{os.path.basename(k)} {form}": octets for k in keys for form, octets in secrets_of(open(k).read()).items()}
        seen = set()
        for role in ROLES + ("supervisor",):
            for pid in w.postern.role_pids(role) if role != "supervisor" else [w.postern.process.pid]:
                spans = flags_of(pid)
                for start, block in memory_of(pid):
                    for name, octets in secrets.items():
                        at = block.find(octets)
                        while at >= 0:
                            assert role == "keyd", (role, name)
                            flags = next(f for begin, end, f in spans if begin <= start + at < end)
                            assert {"lo", "dd", "wf"} <= set(flags), (name, hex(start + at), flags)
                            seen.add(name.split()[0])
                            at = block.find(octets, at + 1)
        assert len(seen) == len(keys), f"the search itself found only {seen}"


def test_container_that_may_lock_nothing():
    """where no memory may be locked keyd says so, once in the log and in `status`, and signs all the same"""
    if not os.path.exists(f"{BUILD}/tests/crash/fail.so"):
        raise Skip("not with sanitizers: their mlock() does nothing and says yes")
    with world(zones=ONE, receivers={"127.0.0.2": {}}, start=False) as w:
        start_in_container(w, 0)
        w.postern.send(SENDER, ["b@a.example"], letter())
        assert b"DKIM-Signature:" in w.receivers["127.0.0.2"].wait(1)[0].data
        lines = w.postern.events("keys-unlocked")
        keyds = len(w.postern.role_pids("keyd"))
        assert len(lines) == keyds and all(e["why"] for e in lines), lines
        words = in_force(w)
        assert all(("no-memlock" in have) == (role == "keyd") for (role, _), have in words.items()), words
        assert "no-memlock" in w.postern.run("status", check=0).stdout


def test_rights_in_a_container():
    """inside of each role everything that it may not do is tried, by an ordinary account in a read-only root"""
    program = f"{BUILD}/tests/unit/proc/test_rights"
    if not os.path.exists(f"{BUILD}/tests/crash/fail.so"):
        raise Skip("not with sanitizers: their builds keep the rights")
    if not os.path.exists(program):
        raise Skip("test_rights is not built")
    with world(zones=ONE, start=False) as w:
        r = in_container(w, f"env TMPDIR={w.postern.dir} {program}", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        out = r.communicate(timeout=PATIENCE_S)[0]
        if "mount:" in out:
            raise Skip("may not mount")
        assert r.returncode == 0 and "OK ] without_an_account_of_its_own" in out and "OK ] keyd_has_few_calls" in out, out
