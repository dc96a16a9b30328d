"""conf/mx.md, "spoold as your MX": its files are taken out of the text, and what stands behind `$` is run, on loopback and other ports. What a command prints
must be what the text shows; `...` stands for anything. The certificate is one of an authority of the test."""
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess

import harness
from peers.tls_peer import Authority

GUIDE = harness.SOURCE / "conf/mx.md"
HOST = "mx.example.org"


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", GUIDE.read_text(), re.M | re.S)


def commands():
    """(command, lines that it prints) of the console blocks, without those for root."""
    for block in blocks("console"):
        lines = block.splitlines()
        while lines:
            line = lines.pop(0)
            shown = []
            while lines and lines[0][:2] not in ("$ ", "# "):
                shown.append(lines.pop(0))
            if line.startswith("$ "):
                yield line[2:], shown


def fits(said, shown):
    """The lines are those of the text, in their order; between two of them only where it says `...`."""
    pattern = "".join(r"(?:.*\n)*?" if line == "..." else re.escape(line).replace(r"\.\.\.", ".*") + r" *\n" for line in shown)
    return re.fullmatch(pattern, said + ("" if said.endswith("\n") or not said else "\n")) is not None


def has_ipv6():
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


class MxGuide(harness.Case):
    def setUp(self):
        super().setUp()
        self.ports = {"25": harness.free_port(), "465": harness.free_port(), "587": harness.free_port()}
        root = self.folder / "root"
        for name in ("etc/spoold/tls", "etc/spoold/dkim", f"etc/letsencrypt/live/{HOST}", "etc/letsencrypt/renewal-hooks/deploy", "var/lib/spoold", "run/spoold", "bin"):
            (root / name).mkdir(parents=True)
        (root / "etc/spoold/dkim").chmod(0o700)
        self.root = root
        self.authority = Authority(self.folder)
        self.renew()
        for program in ("spoold", "spoolctl"):
            (root / "bin" / program).symlink_to(harness.BUILD / program)
        self.script("systemctl", 'case $1 in reload) kill -HUP "$(cat %s)";; *) [ -e %s ];; esac' % ((self.folder / "pid",) * 2))
        self.environment = {**os.environ, "PATH": f"{root}/bin:{os.environ['PATH']}", "SSL_CERT_FILE": str(self.authority.file), "SPOOLD_CONFIG": self.here("/etc/spoold/spoold.toml")}
        (root / "anne.password").write_text("correct horse\n")
        (root / "hello.eml").write_text("From: test@lists.example.org\r\nTo: test@lists.example.org\r\nSubject: hello\r\nDate: Sat, 28 Nov 2026 10:00:00 +0000\r\n"
                                        "Message-ID: <1@lists.example.org>\r\n\r\nHello.\r\n")
        [hook] = blocks("sh")
        hook = hook.replace("-g spoold", f"-g {os.getgid()}")
        (root / "etc/letsencrypt/renewal-hooks/deploy/spoold").write_text(self.here(hook))
        (root / "etc/letsencrypt/renewal-hooks/deploy/spoold").chmod(0o755)
        [zone] = blocks("zone")
        (root / "records.zone").write_text(zone)

    def script(self, name, text):
        path = self.root / "bin" / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def renew(self):
        """What certbot leaves."""
        live = self.root / f"etc/letsencrypt/live/{HOST}"
        pem = pathlib.Path(self.authority.certificate(HOST))
        for name in ("fullchain.pem", "privkey.pem"):
            shutil.copy(pem, live / name)

    def here(self, text):
        """The paths, addresses and ports of the text, as they are in this test."""
        text = re.sub(r"(?<![\w/.])/(etc/spoold|etc/letsencrypt|var/lib/spoold|run/spoold)", rf"{self.root}/\1", text)
        text = re.sub(r'"0\.0\.0\.0:(\d+)"', lambda m: f'"127.0.0.1:{self.ports[m[1]]}"', text)
        six = "[::1]" if has_ipv6() else "127.0.0.2"
        text = re.sub(r'"\[::\]:(\d+)"', lambda m: f'"{six}:{self.ports[m[1]]}"', text)
        text = text.replace("spoolctl dkim create", f"spoolctl dkim create --folder {self.root}/etc/spoold/dkim")
        text = re.sub(rf"--server {HOST} --port (\d+)", lambda m: f"--server 127.0.0.1 --port {self.ports[m[1]]} --helo client.elsewhere.example", text)
        return re.sub(rf"-connect {HOST}:(\d+)", lambda m: f"-connect 127.0.0.1:{self.ports[m[1]]}", text)

    def run_as_printed(self, command):
        done = subprocess.run(["/bin/bash", "-c", self.here(command)], cwd=self.root, env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=60 * harness.SLOW)
        said = done.stdout.replace(str(self.root), "").replace("\r\n", "\n")
        for port, free in self.ports.items():
            said = said.replace(f"127.0.0.1:{free}", f"0.0.0.0:{port}")
        return said

    def serial(self):
        """The serial number of the certificate that spoold shows."""
        text = self.run_as_printed(f"openssl s_client -starttls smtp -connect {HOST}:25 < /dev/null 2> /dev/null | openssl x509 -noout -serial")
        self.assertIn("serial=", text)
        return text

    def test_the_guide_as_printed(self):
        whole, mailboxes, keys = blocks("toml")
        config = self.root / "etc/spoold/spoold.toml"
        config.write_text(self.here(whole))
        self.run_as_printed(f"RENEWED_LINEAGE=/etc/letsencrypt/live/{HOST} /etc/letsencrypt/renewal-hooks/deploy/spoold")  # spoold does not run yet
        daemon, ran = None, []
        for command, shown in commands():
            if command.startswith("spoolctl list create"):  # systemctl enable --now spoold, for root
                daemon = self.start(config)
            if command.startswith("RENEWED_LINEAGE"):
                before = self.serial()
                self.renew()
            said = self.run_as_printed(command)
            self.assertTrue(fits(said, shown), f"$ {command}\n{said}\n--- but the text shows\n" + "\n".join(shown))
            ran.append(command)
            if command.startswith("spoolctl dkim create"):  # the tables that the text adds then
                config.write_text(self.here(whole + keys))
        self.assertGreater(len(ran), 12)
        harness.wait_until(lambda: "event=reload" in (self.folder / "log").read_text(), 20, "event=reload")
        self.assertNotEqual(self.serial(), before)
        self.assertTrue(daemon.poll() is None)
        daemon.send_signal(signal.SIGTERM)
        self.assertEqual(daemon.wait(30 * harness.SLOW), 0)

    def test_mailboxes_behind_it(self):
        whole, mailboxes, _ = blocks("toml")
        config = self.root / "etc/spoold/spoold.toml"
        self.run_as_printed(f"RENEWED_LINEAGE=/etc/letsencrypt/live/{HOST} /etc/letsencrypt/renewal-hooks/deploy/spoold")
        config.write_text(self.here(whole + mailboxes))
        said = self.run_as_printed("spoold --check")
        self.assertIn("note: [[domain]] everybody may send to example.org by way of lmtp+unix:/run/dovecot/lmtp\n", said)
        self.assertIn("the configuration is good\n", said)

    def start(self, config):
        log = self.folder / "log"
        with open(log, "ab") as errors:
            daemon = subprocess.Popen([harness.BUILD / "spoold", "--config", config], stdin=subprocess.DEVNULL, stdout=errors, stderr=errors, env=self.environment,
                                      preexec_fn=harness._die_with_parent)
        self.addCleanup(lambda: daemon.poll() is None and (daemon.kill(), daemon.wait()))
        (self.folder / "pid").write_text(str(daemon.pid))
        harness.wait_until(lambda: "event=ready" in log.read_text() or daemon.poll() is not None, 20, "event=ready")
        self.assertIsNone(daemon.poll(), log.read_text())
        return daemon


if __name__ == "__main__":
    harness.main()
