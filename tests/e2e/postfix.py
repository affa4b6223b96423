# SPDX-License-Identifier: ISC
"""Debian's Postfix out of an unpacked package, running beside the machine's own mail system."""

import grp
import os
import pwd
import shutil
import socket
import subprocess
import tempfile

from house import BUILD, Skip, until

ROOT = f"{BUILD}/peers/postfix"

MAIN = """
compatibility_level = 3.6
queue_directory = {dir}/queue
data_directory = {dir}/data
command_directory = {root}/usr/sbin
daemon_directory = {root}/usr/lib/postfix/sbin
shlib_directory = no
meta_directory = {dir}/conf
mail_owner = mail
setgid_group = utmp
default_privs = nobody
import_environment = MAIL_CONFIG={dir}/conf LD_LIBRARY_PATH={root}/usr/lib/postfix
inet_interfaces = all
inet_protocols = ipv4
myhostname = {name}
mydestination =
alias_maps =
local_transport = error:no local mail
smtpd_tls_security_level = none
default_process_limit = 100
"""

SERVICES = """
{address}:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
smtp unix - - n - - smtp
relay unix - - n - - smtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
proxymap unix - - n - - proxymap
tlsmgr unix - - n 1000? 1 tlsmgr
showq unix n - n - - showq
"""

PUBLIC = ["pickup", "cleanup", "qmgr", "flush", "showq", "postlog"]


class Postfix:
    def __init__(self, address, port, name="mx.postfix.example", config="", netns=None):
        if os.getuid() != 0:
            raise Skip("Postfix needs root")
        if not os.path.exists(f"{ROOT}/usr/lib/postfix/sbin/master"):
            raise Skip("no Postfix: tests/peers could not fetch it")
        self.dir = tempfile.mkdtemp(prefix="e2e-postfix-")
        os.chmod(self.dir, 0o755)
        self.address, self.port = address, port
        owner = pwd.getpwnam("mail").pw_uid
        for d in ("conf", "data", "queue", "mail"):
            os.mkdir(f"{self.dir}/{d}")
        os.chown(f"{self.dir}/data", owner, -1)
        os.chown(f"{self.dir}/mail", pwd.getpwnam("nobody").pw_uid, -1)
        for d in ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private", "saved", "trace", "maildrop", "public", "pid"):
            os.mkdir(f"{self.dir}/queue/{d}", 0o700)
            if d != "pid":
                os.chown(f"{self.dir}/queue/{d}", owner, grp.getgrnam("utmp").gr_gid if d in ("maildrop", "public") else -1)
        os.chmod(f"{self.dir}/queue/public", 0o2710)
        os.chmod(f"{self.dir}/queue/maildrop", 0o1730)
        with open(f"{self.dir}/conf/main.cf", "w") as f:
            f.write(MAIN.format(dir=self.dir, root=ROOT, name=name) + config.format(dir=self.dir))
        with open(f"{self.dir}/conf/master.cf", "w") as f:
            f.write(SERVICES.format(address=address, port=port))
        self.env = {"LD_LIBRARY_PATH": f"{ROOT}/usr/lib/postfix", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "MAIL_CONFIG": f"{self.dir}/conf",
                    "daemon_directory": f"{ROOT}/usr/lib/postfix/sbin", "config_directory": f"{self.dir}/conf"}
        self.master = subprocess.Popen([*(["ip", "netns", "exec", netns] if netns else []), f"{ROOT}/usr/lib/postfix/sbin/master", "-c",
                                        f"{self.dir}/conf", "-d"], env=self.env, stdout=subprocess.DEVNULL, stderr=open(f"{self.dir}/err", "w"),
                                       start_new_session=True)
        until(lambda: self.master.poll() is not None or self.listens(), "Postfix listens")
        if self.master.poll() is not None:
            raise AssertionError("Postfix does not start: " + open(f"{self.dir}/err").read() + self.log())

    def listens(self):
        with socket.socket() as s:
            s.settimeout(10)
            return s.connect_ex((self.address, self.port)) == 0

    def log(self):
        try:
            return open(f"{self.dir}/log").read()[-3000:]
        except FileNotFoundError:
            return ""

    def messages(self):
        """The octets of the messages in its mailbox (Maildir), LF line ends."""
        folder = f"{self.dir}/mail/inbox/new"
        return [open(f"{folder}/{n}", "rb").read() for n in sorted(os.listdir(folder))] if os.path.isdir(folder) else []

    def close(self):
        try:
            os.killpg(self.master.pid, 15)
            self.master.wait(60)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            pass
        subprocess.run(["pkill", "-9", "-s", str(self.master.pid)])
        shutil.rmtree(self.dir, ignore_errors=True)
