"""Servers and programs of others in front of spoold: Debian's Exim relays to it, nodemailer submits through it; and smtp-server of npm behind it. What needs
Node.js modules is skipped where they are not: tests/README.md says how to get them."""
# ctest: slow
import json
import os
import re
import shutil
import smtplib
import subprocess
import unittest

import harness
from peers.real import EXIM, Exim
from peers.tls_peer import Authority

DEAD = "smtp://127.0.0.1:9"
PASSWORD = "correct horse"
ANNE, TO = "anne@lists.example", "somebody@far.example"
BODY = "Grüße\n.\n..\n.dot\n" + "long " * 150 + "\n\nend\n"
MODULES = [harness.SOURCE / "var/peers/node/node_modules", harness.pathlib.Path("/usr/share/nodejs")]


def has_module(name):
    return shutil.which("node") is not None and any((folder / name).is_dir() for folder in MODULES)


def node(script, **values):
    """Runs a script of Node.js, with these values in `v`; a Popen."""
    return subprocess.Popen(["node", "-e", f"const v = {json.dumps({k: str(x) for k, x in values.items()})};\n{script}"], stdin=subprocess.DEVNULL, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=harness._die_with_parent,
                            env={**os.environ, "NODE_PATH": ":".join(map(str, MODULES))})


def can_mount():
    return subprocess.run(["unshare", "--mount", "sh", "-c", "mount --bind /etc/passwd /etc/passwd"], capture_output=True).returncode == 0


class Upstreams(harness.Case):
    def setUp(self):
        super().setUp()
        self.authority = Authority(self.folder)
        self.pem = str(self.authority.certificate("localhost"))
        self.starttls, self.implicit = harness.free_port(), harness.free_port()

    def house(self, smarthost=DEAD, **settings):
        daemon = harness.Spoold(self.folder, smarthost, {"tls": [{"certificate": self.pem, "key": self.pem}], **settings}, name=f"spoold{len(self.daemons)}", start=False)
        self.daemons.append(daemon)
        daemon.settings["listen"] = [{"address": daemon.address, "tls": "starttls"}, {"address": f"127.0.0.1:{self.starttls}", "protocol": "submission", "tls": "starttls"},
                                     {"address": f"127.0.0.1:{self.implicit}", "protocol": "submission", "tls": "implicit"}]
        daemon.start()
        return daemon

    def content(self, spoold, qid):
        return spoold.run("show", qid, "--content").stdout.replace("\r\n", "\n")

    @unittest.skipUnless(os.geteuid() == 0 and EXIM.exists() and can_mount(), "needs root, Exim and a mount namespace")
    def test_exim_relays_to_lists(self):
        """By STARTTLS, with BDAT and pipelining as it has them; a refused recipient comes back to its sender as Exim's report."""
        spoold = self.house()
        spoold.list(members=["anne@far.example", "bart@far.example"])
        exim = Exim(self.folder, relay_port=spoold.port)
        self.addCleanup(exim.stop)
        text = f"From: Poster <poster@example.net>\nTo: {harness.LIST}\nSubject: by exim\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\n{BODY}"
        with smtplib.SMTP("127.0.0.1", exim.port, timeout=60) as client:
            client.ehlo()
            client.sendmail("poster@example.net", [harness.LIST, "nobody@lists.example"], text.replace("\n", "\r\n").encode(), ["BODY=8BITMIME"])
        harness.wait_until(lambda: len(spoold.queue()) == 2, 60, "the post and the report")
        post, report = sorted(spoold.queue(), key=lambda row: row.get("list") is None)
        content = self.content(spoold, post["id"])
        self.assertRegex(content, r"\AReceived: from exim\.example \(\[127\.0\.0\.1\]\)\n\tby mx\.lists\.example \(spoold\) with ESMTPS id \w+\n")
        self.assertTrue(content.endswith("\n\n" + BODY), content)
        report = self.content(spoold, report["id"])
        self.assertIn("nobody@lists.example", report)
        self.assertIn("550 5.1.1", report)
        self.assertEqual(re.findall(r"(?m)^Final-Recipient: *rfc822; *(.*)$", report), ["nobody@lists.example"])

    @unittest.skipUnless(has_module("nodemailer"), "needs nodemailer")
    def test_nodemailer_submits(self):
        spoold = self.house(smtp={"trusted_networks": []})
        spoold.ctl("user", "add", "anne", "--address", ANNE, input=PASSWORD + "\n")
        for port, secure in ((self.starttls, False), (self.implicit, True)):
            for method in ("PLAIN", "LOGIN"):
                done = node("""
const mailer = require("nodemailer").createTransport({host: "localhost", port: +v.port, secure: v.secure === "True", requireTLS: true, authMethod: v.method,
  auth: {user: "anne", pass: v.password}, tls: {ca: require("fs").readFileSync(v.ca)}, name: "client.example"});
mailer.sendMail({from: `Anne <${v.from}>`, to: v.to, subject: "Grüße", text: v.body}).then(info => console.log(info.response), error => { console.error(error.message); process.exit(1); });
""", port=port, secure=secure, method=method, password=PASSWORD, ca=self.authority.file, to=TO, body=BODY, **{"from": ANNE})
                said, errors = done.communicate(timeout=60 * harness.SLOW)
                self.assertEqual(done.returncode, 0, errors)
                self.assertRegex(said, r"^250 2\.0\.0 queued as \w+\n")
                content = self.content(spoold, said.split()[-1])
                self.assertRegex(content, r"\(spoold\) with ESMTPSA id \w+\n")
                self.assertEqual(len(re.findall(r"(?m)^Message-ID: ", content, re.I)), 1)
        done = node("""
require("nodemailer").createTransport({host: "localhost", port: +v.port, secure: true, auth: {user: "anne", pass: "wrong"}, tls: {ca: require("fs").readFileSync(v.ca)}})
  .verify().catch(error => console.log(error.responseCode, error.command));
""", port=self.implicit, ca=self.authority.file)
        self.assertEqual(done.communicate(timeout=60 * harness.SLOW)[0], "535 AUTH PLAIN\n")

    @unittest.skipUnless(has_module("smtp-server"), "needs smtp-server")
    def test_smtp_server_takes_what_is_relayed(self):
        """With STARTTLS and a login; each member gets one copy, as it was sent."""
        server = node("""
const fs = require("fs"), {SMTPServer} = require("smtp-server"), pem = fs.readFileSync(v.pem);
new SMTPServer({key: pem, cert: pem, authMethods: ["PLAIN", "LOGIN"], size: 1 << 20,
  onAuth(auth, session, done) { done(auth.username === "relay" && auth.password === v.password ? null : new Error("no"), {user: auth.username}); },
  onRcptTo(to, session, done) { done(to.address.startsWith("gone") ? Object.assign(new Error("5.1.1 no such user"), {responseCode: 550}) : null); },
  onData(stream, session, done) {
    let content = "";
    stream.setEncoding("utf8").on("data", piece => content += piece).on("end", () => {
      console.log(JSON.stringify({secure: session.secure, user: session.user, rcpts: session.envelope.rcptTo.map(r => r.address), content}));
      done(null, "kept");
    });
  }}).listen(0, "127.0.0.1", function () { console.log(JSON.stringify({port: this.address().port})); });
""", pem=self.pem, password=PASSWORD)
        self.addCleanup(lambda: (server.kill(), server.wait(), server.stdout.close(), server.stderr.close()))
        port = json.loads(server.stdout.readline())["port"]
        secret = self.folder / "password"
        secret.write_text(PASSWORD + "\n")
        spoold = self.house(f"smtp://localhost:{port}", relay={"username": "relay", "password_file": str(secret), "tls": "verified"},
                            delivery={"ca_file": str(self.authority.file)})
        people = ["anne@far.example", "bart@far.example", "gone@far.example"]
        spoold.list(members=people)
        spoold.post(body=BODY.replace("\n", "\r\n"))
        qid = spoold.last_id
        got = [json.loads(server.stdout.readline()) for _ in range(2)]
        self.assertEqual(sorted(rcpt for mail in got for rcpt in mail["rcpts"]), people[:2])
        for mail in got:
            self.assertEqual((mail["secure"], mail["user"]), (True, "relay"))
            self.assertTrue(mail["content"].replace("\r\n", "\n").endswith("\n\n" + BODY), mail["content"])
        harness.wait_until(lambda: {a: r["state"] for a, r in spoold.recipients(qid).items()} == {people[0]: "delivered", people[1]: "delivered", people[2]: "failed"}, 20, "outcomes")


if __name__ == "__main__":
    harness.main()
