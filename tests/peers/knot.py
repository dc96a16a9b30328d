"""Debian's knot as the name server of a test: zones given as text, signed ones with keys of their own, on 127.0.0.1.

    dns = Knot(folder, {"plain.test": "@ MX 10 mx1\nmx1 A 127.0.0.2\n"}, signed={"secure.test": ...}, broken=["fail.test"])
    dns.address, dns.anchors(), dns.stop()
"""
import pathlib
import random
import socket
import struct
import subprocess

import harness

HEADER = "$TTL {ttl}\n@ SOA ns hostmaster 1 3600 600 86400 {ttl}\n@ NS ns\nns A 127.0.0.1\n"


def ask(port, name, kind=6, host="127.0.0.1"):
    """RCODE of the answer to one question, or None when there is none."""
    question = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0" + struct.pack(">HH", kind, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(0.5)
        try:
            s.sendto(struct.pack(">HHHHHH", random.randrange(65536), 0, 1, 0, 0, 0) + question, (host, port))
            return s.recv(4096)[3] & 15
        except OSError:
            return None


class Knot:
    def __init__(self, folder, zones, signed=None, broken=(), ttl=60):
        self.folder = pathlib.Path(folder) / "knot"
        self.folder.mkdir()
        self.port = harness.free_port()
        self.signed = dict(signed or {})
        lines = [f"server:\n  listen: 127.0.0.1@{self.port}\n  rundir: {self.folder}\n", f"database:\n  storage: {self.folder}\n",
                 "log:\n  - target: stderr\n    any: warning\n",
                 "policy:\n  - id: p\n    algorithm: ecdsap256sha256\n    single-type-signing: on\n",
                 f"template:\n  - id: default\n    storage: {self.folder}\n    journal-content: none\n    zonefile-load: whole\nzone:\n"]
        for name, text in [*zones.items(), *self.signed.items()]:
            (self.folder / f"{name}.zone").write_text(HEADER.format(ttl=ttl) + text)
            lines.append(f"  - domain: {name}.\n    file: {name}.zone\n")
            if name in self.signed:
                lines.append("    dnssec-signing: on\n    dnssec-policy: p\n    zonefile-sync: -1\n")
        lines += [f"  - domain: {name}.\n    file: {name}.nothing\n" for name in broken]
        self.config = self.folder / "knot.conf"
        self.config.write_text("".join(lines))
        self.errors = open(self.folder / "stderr", "ab")
        self.process = subprocess.Popen(["/usr/sbin/knotd", "-c", str(self.config)], stdin=subprocess.DEVNULL, stdout=self.errors,
                                        stderr=self.errors, preexec_fn=harness._die_with_parent)
        for name in [*zones, *self.signed]:
            harness.wait_until(lambda: ask(self.port, name) == 0, 20, f"knot serves {name}")

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def anchors(self, but=()):
        """DS records of the signed zones; those in `but` with a digest of something else."""
        out = ""
        for name in self.signed:
            said = subprocess.run(["/usr/sbin/keymgr", "-c", str(self.config), f"{name}.", "ds"], capture_output=True, text=True, check=True).stdout
            for line in said.splitlines():
                words = line.split()
                if words[1:2] == ["DS"] and words[4] == "2":
                    digest = words[5] if name not in but else words[5][::-1]
                    out += f"{name}. IN DS {words[2]} {words[3]} {words[4]} {digest}\n"
        path = self.folder / "anchors"
        path.write_text(out)
        return str(path)

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(20)
        self.errors.close()
