"""250 means stored: killed the instant it is read, all recipients of a post are there with their envelope senders; a
completed fdatasync of the store lies between the last octet of the content and the 250; when it fails, the reply is 4xx and
the store is as it was."""
import re
import shutil
import signal
import socket
import subprocess
import time
import unittest

import harness

POST = (b"From: <poster@example.net>\r\nTo: <test@lists.example>\r\nSubject: real\r\nMessage-ID: <real@x>\r\n"
        b"Date: Sun, 22 Nov 2026 10:00:00 +0000\r\n\r\ntext\r\n.\r\n")


class Client:
    """As raw as can be: nothing stands between reading the 250 and what the test does next."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60 * harness.SLOW)
        self.file = self.socket.makefile("rb")
        self.reply()

    def reply(self):
        while True:
            line = self.file.readline()
            if line[3:4] != b"-":
                return line.decode().strip()

    def ask(self, line):
        self.socket.sendall(line.encode() + b"\r\n")
        return self.reply()

    def up_to_data(self, to=harness.LIST):
        for line in ("EHLO client.example", "MAIL FROM:<poster@example.net>", f"RCPT TO:<{to}>", "DATA"):
            said = self.ask(line)
            assert said[:3] in ("250", "354"), said

    def post(self, to=harness.LIST):
        self.up_to_data(to)
        self.socket.sendall(POST)
        return self.reply()

    def close(self):
        self.file.close()
        self.socket.close()


class Test(harness.Case):
    def client(self, daemon):
        client = Client(daemon.port)
        self.addCleanup(client.close)
        return client

    def stored(self, daemon):
        """Everything the queue holds: id, state, number of recipients."""
        return sorted((m["id"], m["state"]) for m in daemon.ctl("queue", ok=(0, 3)) or [])

    def test_killed_at_the_250(self):
        daemon = self.spoold("smtp://127.0.0.1:9")
        people = harness.members(10000, domains=7)
        daemon.list(members=people)
        client = self.client(daemon)
        client.up_to_data()
        client.socket.sendall(POST)
        said = client.reply()
        daemon.process.send_signal(signal.SIGKILL)
        self.assertTrue(said.startswith("250 2.0.0 "), said)
        daemon.kill()
        shown = daemon.show(said.split()[-1])
        self.assertEqual(shown["list"], harness.LIST)
        self.assertEqual(sorted(r["address"] for r in shown["recipients"]), sorted(people))
        for recipient in shown["recipients"]:
            self.assertEqual(recipient["envelope_sender"], f"test-bounces+{recipient['address'].replace('@', '=')}@lists.example")
        daemon.check()

    @unittest.skipUnless(shutil.which("strace"), "strace is not installed")
    def test_flush_between_the_last_octet_and_the_250(self):
        trace = self.folder / "trace"
        # -D: the process we started, and shall end, is spoold itself.
        daemon = self.spoold("smtp://127.0.0.1:9", wrap=["strace", "-D", "-f", "-y", "-s", "4096", "-o", str(trace), "-e",
                                                         "trace=recvmsg,read,readv,recvfrom,sendmsg,sendto,write,writev,fdatasync,fsync,msync"])
        daemon.list(members=harness.members(50))
        said = self.client(daemon).post()
        self.assertTrue(said.startswith("250 "), said)
        lines = harness.wait_until(lambda: self.trace_with(trace, said.split()[-1]), 20, "the 250 in the trace")
        last_octet = max(i for i, line in enumerate(lines) if "text\\r\\n.\\r\\n" in line)
        answered = min(i for i, line in enumerate(lines) if re.search(r"(send|write)\w*\(.*250 2\.0\.0 queued as", line))
        self.assertLess(last_octet, answered)
        between = lines[last_octet:answered]
        flushed = [line for line in between if re.search(r"(fdatasync|fsync|msync)(\(.*spoold\.store/| resumed>).*= 0", line)]
        self.assertTrue(flushed, "\n".join(between))

    def trace_with(self, trace, qid):
        lines = trace.read_text(errors="replace").splitlines()
        return lines if any(qid in line and ("send" in line or "write" in line) and "250 2.0.0" in line for line in lines) else None

    @unittest.skipUnless(shutil.which("strace"), "strace is not installed")
    def test_a_flush_that_fails_is_no_acceptance(self):
        daemon = self.spoold("smtp://127.0.0.1:9")
        daemon.list(members=harness.members(50))
        self.assertTrue(self.client(daemon).post().startswith("250 "))
        before = self.stored(daemon)
        self.assertEqual(len(before), 1)
        client = self.client(daemon)
        client.up_to_data()
        tracer = subprocess.Popen(["strace", "-f", "-p", str(daemon.process.pid), "-o", "/dev/null", "-e", "trace=fdatasync,fsync,msync",
                                   "-e", "inject=fdatasync,fsync,msync:error=EIO:when=1+"], stderr=subprocess.PIPE, text=True)
        self.addCleanup(lambda: (tracer.kill(), tracer.communicate()))
        self.assertIn("attached", tracer.stderr.readline())
        time.sleep(0.3 * harness.SLOW)  # all its threads
        client.socket.sendall(POST)
        said = client.reply()
        self.assertRegex(said, r"^4\d\d ")
        tracer.terminate()
        tracer.wait(20)
        daemon.kill()
        self.assertEqual(self.stored(daemon), before)
        daemon.start()
        daemon.check()
        self.assertTrue(self.client(daemon).post().startswith("250 "))
        self.assertEqual(len(self.stored(daemon)), 2)


if __name__ == "__main__":
    harness.main()
