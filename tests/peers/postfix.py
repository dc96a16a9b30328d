"""A Postfix of its own, as a next hop or to compare with: own folders, own port; the system's is not touched. Needs root (its
master insists) and Debian's postfix package."""
import os
import pathlib
import re
import shutil
import smtplib
import subprocess

import harness

POSTFIX = "/usr/sbin/postfix"


def available():
    return os.geteuid() == 0 and pathlib.Path(POSTFIX).exists()


def relaying(port):
    """Settings of main.cf: everything goes on to a sink."""
    return {"mydestination": "", "relayhost": f"[127.0.0.1]:{port}", "smtpd_relay_restrictions": "permit_mynetworks, reject",
            "smtpd_authorized_verp_clients": "127.0.0.0/8", "smtpd_recipient_limit": 200000, "smtpd_client_connection_count_limit": 0}


class Postfix:
    def __init__(self, folder, settings):
        self.port = harness.free_port()
        self.home = pathlib.Path(folder) / "postfix"
        for name in ("etc", "data", "spool"):
            (self.home / name).mkdir(parents=True)
        for place in (pathlib.Path(folder), self.home):
            place.chmod(0o755)  # its processes run as the user postfix
        shutil.chown(self.home / "data", "postfix")
        (self.home / "etc/main.cf").write_text("".join(f"{key} = {value}\n" for key, value in {
            "compatibility_level": "3.6",
            "queue_directory": f"{self.home}/spool", "data_directory": f"{self.home}/data",
            "maillog_file": f"{self.home}/spool/log", "maillog_file_prefixes": self.home,
            "inet_interfaces": "127.0.0.1", "inet_protocols": "ipv4", "myhostname": "postfix.example", "mynetworks": "127.0.0.0/8",
            "smtpd_peername_lookup": "no", "smtp_host_lookup": "native", "disable_dns_lookups": "yes",
            "alias_maps": "", "alias_database": "", **settings}.items()))
        services = []
        for line in pathlib.Path("/usr/share/postfix/master.cf.dist").read_text().splitlines():
            fields = line.split()
            if len(fields) >= 8 and line[0] not in "# \t":
                fields[4] = "n"  # nothing runs in a chroot that nobody has furnished
                if fields[:2] == ["smtp", "inet"]:
                    fields[0] = str(self.port)
                line = " ".join(fields)
            services.append(line)
        text = "\n".join(services) + "\n"
        if not re.search(r"^postlog ", text, re.M):
            text += "postlog unix-dgram n - n - 1 postlogd\n"
        (self.home / "etc/master.cf").write_text(text)
        self.run("start")
        harness.wait_until(self.answers, 20, "Postfix answers")

    def run(self, verb):
        done = subprocess.run([POSTFIX, "-c", self.home / "etc", verb], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
        if done.returncode != 0:
            raise SystemExit(f"postfix {verb}: {done.stderr}")

    def answers(self):
        try:
            with smtplib.SMTP("127.0.0.1", self.port, timeout=5):
                return True
        except OSError:
            return False

    @property
    def pid(self):
        """Of its master, whose children do the work."""
        return int((self.home / "spool/pid/master.pid").read_text())

    def super(self, *words):
        """postsuper: the queue by hand."""
        done = subprocess.run(["/usr/sbin/postsuper", "-c", self.home / "etc", *words], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
        if done.returncode != 0:
            raise SystemExit(f"postsuper: {done.stderr}")

    def log(self):
        return (self.home / "spool/log").read_text(errors="replace")

    def stop(self):
        self.run("stop")
