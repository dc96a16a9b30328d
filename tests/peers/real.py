"""Exim and Dovecot of their own as next hops: own folders, own ports; the system's are not touched. Need root.
Their logs tell what they took. Postfix: postfix.py."""
import pathlib
import re
import shutil
import signal
import smtplib
import subprocess
import time

import harness

EXIM = harness.SOURCE / "var/peers/exim4/usr/sbin/exim4"


class Daemon:
    """A server in the foreground that answers on a port."""

    def __init__(self, words, folder, port):
        self.port, self.said = port, open(pathlib.Path(folder) / "said", "ab")
        self.process = subprocess.Popen([str(w) for w in words], stdin=subprocess.DEVNULL, stdout=self.said, stderr=self.said,
                                        preexec_fn=harness._die_with_parent)
        harness.wait_until(self.answers, 20, f"{words[0]} answers on port {port}: {pathlib.Path(self.said.name).read_text()}")

    def answers(self):
        if self.process.poll() is not None:
            raise AssertionError(f"ended with {self.process.returncode}: {pathlib.Path(self.said.name).read_text()}")
        try:
            with smtplib.SMTP("127.0.0.1", self.port, timeout=5):
                return True
        except OSError:
            return False

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.said.close()


class Exim(Daemon):
    """Takes all of dest.example but *unknown*; drops the connection after five refused recipients, as many sites let it.
    With `relay_port` it takes everything and sends it on to that port; with `verp` each recipient alone, with a sender made
    of that address."""

    def __init__(self, folder, relay_port=None, verp=None):
        home = pathlib.Path(folder) / "exim"
        (home / "spool").mkdir(parents=True)
        for place in (pathlib.Path(folder), home):
            place.chmod(0o755)
        # Debian's build insists on its own user, who need not exist here: it sees one in a mount namespace of its own.
        for name, line in (("passwd", "Debian-exim:x:199:199::/nonexistent:/usr/sbin/nologin"), ("group", "Debian-exim:x:199:")):
            (home / name).write_text(pathlib.Path("/etc", name).read_text() + line + "\n")
        shutil.chown(home / "spool", 199, 199)
        (home / "conf").write_text(f"""primary_hostname = exim.example
spool_directory = {home}/spool
log_file_path = {home}/spool/%slog
log_selector = +smtp_connection
local_interfaces = 127.0.0.1
exim_path = {EXIM}
exim_user = 199
exim_group = 199
keep_environment =
host_lookup =
queue_only = {"true" if relay_port is None else "false"}
acl_smtp_rcpt = {"rcpt" if relay_port is None else "accept"}
acl_smtp_data = data
recipients_max = 0
remote_max_parallel = 20
smtp_accept_max = 200
smtp_accept_queue_per_connection = 0
begin acl
rcpt:
  drop message = too many unknown users
    condition = ${{if >{{$rcpt_fail_count}}{{4}}}}
  deny message = unknown user
    condition = ${{if match{{$local_part}}{{unknown}}}}
  accept domains = dest.example
  deny message = relay not permitted
data:
  warn condition = {"true" if relay_port is None else "false"}
    logwrite = TOOK $recipients
  accept
begin routers
on:
  driver = manualroute
  route_list = * 127.0.0.1::{relay_port or 25} byname
  self = send
  transport = smtp
begin transports
smtp:
  driver = smtp
  hosts_try_fastopen =
  connection_max_messages = 0
{"" if verp is None else f"  max_rcpt = 1{chr(10)}  return_path = {verp.replace('@', '+$local_part=$domain@')}{chr(10)}"}""")
        self.log_file = home / "spool/mainlog"
        port = harness.free_port()
        super().__init__(["unshare", "--mount", "sh", "-c", 'mount --bind "$0/passwd" /etc/passwd && mount --bind "$0/group" /etc/group && exec "$@"',
                          home, EXIM, "-C", home / "conf", "-bdf", "-oX", f"127.0.0.1:{port}"], home, port)

    def took(self):
        """Every recipient of every content it took; one that came twice is there twice."""
        return [r.strip() for line in re.findall(r" TOOK (.*)", self.log_file.read_text()) for r in line.split(",")]


class Dovecot(Daemon):
    """LMTP for users at dest.example, as far as it is told of them, some of whose mailboxes are full."""

    def __init__(self, folder):
        home = pathlib.Path(folder) / "dovecot"
        (home / "mail").mkdir(parents=True)
        for place in (pathlib.Path(folder), home):
            place.chmod(0o755)
        shutil.chown(home / "mail", "mail", "mail")
        self.log_file = home / "log"
        self.users = home / "users"
        port = harness.free_port()
        (home / "conf").write_text(f"""base_dir = {home}/run
state_dir = {home}/state
log_path = {self.log_file}
protocols = lmtp
listen = 127.0.0.1
ssl = no
mail_location = maildir:{home}/mail/%n
first_valid_uid = 1
mail_uid = mail
mail_gid = mail
mail_plugins = quota
plugin {{
  quota = maildir
  quota_rule = *:storage=10M
}}
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {port}
  }}
}}
service anvil {{
  chroot =
}}
service auth-worker {{
  user = root
}}
passdb {{
  driver = static
  args = nopassword=y
}}
userdb {{
  driver = passwd-file
  args = username_format=%u {self.users}
}}
protocol lmtp {{
  mail_plugins = quota
}}
""")
        self.users.write_text("")
        super().__init__(["/usr/sbin/dovecot", "-F", "-c", home / "conf"], home, port)

    def know(self, addresses, full=()):
        lines = [f"{a}::::::" for a in addresses] + [f"{a}:::::::userdb_quota_rule=*:storage=1B" for a in full]
        self.users.write_text("\n".join(lines) + "\n")

    def answers(self):
        try:
            with smtplib.LMTP("127.0.0.1", self.port) as client:
                return client.noop()[0] == 250
        except OSError:
            time.sleep(0.1)
            return False

    def took(self):
        return re.findall(r"lmtp\(([^)]*)\).*saved mail to INBOX", self.log_file.read_text())
