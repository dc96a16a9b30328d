"""What programs that look for weak TLS find: sslscan, and testssl.sh where it is installed. TLS 1.2 and 1.3 with modern ciphers, and nothing else."""
# ctest: slow
import json
import os
import shutil
import subprocess
import unittest
import xml.etree.ElementTree

import harness
from peers.tls_peer import Authority


class Scanners(harness.Case):
    def setUp(self):
        super().setUp()
        self.authority = Authority(self.folder)
        pem = str(self.authority.certificate("localhost"))
        self.implicit = harness.free_port()
        self.daemon = harness.Spoold(self.folder, "smtp://127.0.0.1:9", {"tls": [{"certificate": pem, "key": pem}]}, start=False)
        self.daemons.append(self.daemon)
        self.daemon.settings["listen"] = [{"address": self.daemon.address, "tls": "starttls"}, {"address": f"127.0.0.1:{self.implicit}", "tls": "implicit"}]
        self.daemon.start()

    @unittest.skipUnless(shutil.which("sslscan"), "needs sslscan")
    def test_sslscan(self):
        for port, options in ((self.daemon.port, ["--starttls-smtp"]), (self.implicit, [])):
            done = subprocess.run(["sslscan", *options, "--sni-name=localhost", "--show-certificate", "--xml=-", f"127.0.0.1:{port}"], capture_output=True, text=True,
                                  timeout=120 * harness.SLOW)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            [found] = xml.etree.ElementTree.fromstring(done.stdout).findall("ssltest")
            offered = {f"{p.get('type')} {p.get('version')}" for p in found.findall("protocol") if p.get("enabled") == "1"}
            self.assertEqual(offered, {"tls 1.2", "tls 1.3"}, done.stdout)
            ciphers = [(c.get("sslversion"), c.get("cipher"), int(c.get("bits"))) for c in found.findall("cipher")]
            self.assertEqual({version for version, _, _ in ciphers}, {"TLSv1.2", "TLSv1.3"})
            for version, cipher, bits in ciphers:
                self.assertGreaterEqual(bits, 128, cipher)
                for weak in ("RC4", "DES", "NULL", "EXP", "MD5", "ADH", "AECDH", "SEED", "IDEA"):
                    self.assertNotIn(weak, cipher)
                self.assertTrue(version == "TLSv1.3" or cipher.startswith("ECDHE-"), cipher)  # forward secrecy
            self.assertEqual(found.find("renegotiation").get("supported"), "0")
            self.assertEqual([c for c in found.findall("compression") if c.get("supported") != "0"], [])  # absent where sslscan has none itself
            self.assertEqual({h.get("vulnerable") for h in found.findall("heartbleed")}, {"0"})
            certificate = found.find("certificates/certificate[@type='short']")
            self.assertEqual([certificate.findtext(name) for name in ("subject", "altnames", "issuer", "self-signed")], ["localhost", "DNS:localhost", "Test CA", "false"])

    @unittest.skipUnless(shutil.which("testssl"), "needs testssl.sh")
    def test_testssl(self):
        """It asks for more than it knows of a server that is not in the DNS; what it calls worse than low must not be there."""
        report = self.folder / "report.json"
        done = subprocess.run(["testssl", "--quiet", "--warnings", "off", "--color", "0", "--openssl", "/usr/bin/openssl", "--starttls", "smtp", "-p", "-s", "-f", "-U",
                               "--jsonfile", str(report), f"127.0.0.1:{self.daemon.port}"], capture_output=True, text=True, timeout=300 * harness.SLOW,
                              stdin=subprocess.DEVNULL, env={**os.environ, "TERM": "dumb"})
        findings = json.loads(report.read_text())
        self.assertGreater(len(findings), 15, done.stdout)
        by_id = {f["id"]: f for f in findings}
        for protocol in ("SSLv2", "SSLv3", "TLS1", "TLS1_1"):
            self.assertIn("not offered", by_id[protocol]["finding"], protocol)
        for protocol in ("TLS1_2", "TLS1_3"):
            self.assertTrue(by_id[protocol]["finding"].startswith("offered"), by_id[protocol])
        self.assertEqual([f for f in findings if f["severity"] in ("MEDIUM", "HIGH", "CRITICAL")], [])


if __name__ == "__main__":
    harness.main()
