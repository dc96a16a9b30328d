# ctest: slow
"""The crash matrix of the start: a store that a crash left with uploads in progress (24 MB) and deliveries on the wire is started
with spoold killed at every fdatasync, while it sweeps what was left and new mail comes in: a post that is expanded in slices, a
large message, a small one. Judged as in test_crash: what was answered 250 is there, whole; nothing recorded as delivered is sent
again; no more duplicates than announced; `spoolctl check` is clean on what each crash left."""
import os
import smtplib
import socket
import threading
import time
import unittest

import harness
import test_crash

UPLOADS, UPLOADED = 3, 8_000_000


class Script(test_crash.Script):
    """New mail from the first moment on."""

    def run(self):
        posts = [("list", test_crash.PEOPLE, harness.LIST, 60_000), ("large", ["three@a.example"], "three@a.example", 3_000_000),
                 ("small", ["one@a.example", "two@b.example"], "one@a.example", 2000)]
        clients = [threading.Thread(target=self.until_answered, args=post) for post in posts]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        try:
            harness.wait_until(lambda: self.ended() or not test_crash.left(self.spoold), 60, "all but the dropper delivered", every=0.05)
        except (OSError, AssertionError):
            if not self.ended():
                raise

    def until_answered(self, *post):
        until = time.monotonic() + 30 * harness.SLOW
        while not self.ended() and time.monotonic() < until:
            try:
                self.post(*post)
                return
            except ConnectionRefusedError:
                self.unanswered.clear()
                time.sleep(0.005)  # it does not listen yet
            except (OSError, smtplib.SMTPException):
                return


class Test(test_crash.Test):
    SCRIPT = Script
    SETTINGS = {"smtp": {"max_message_size": "40MiB"}}

    def prepare(self, spoold):
        """Ends it in the middle of uploads."""
        spoold.list(members=test_crash.PEOPLE)
        sockets = []
        for i in range(UPLOADS):
            client = socket.create_connection(("127.0.0.1", spoold.port), timeout=60 * harness.SLOW)
            sockets.append(client)
            lines = client.makefile("rb")
            lines.readline()
            for command in (b"HELO client.example", b"MAIL FROM:<a@b.example>", b"RCPT TO:<cut@a.example>", b"DATA"):
                client.sendall(command + b"\r\n")
                lines.readline()
            client.sendall(b"Subject: cut\r\nFrom: <a@b.example>\r\n\r\n")
            client.sendall((b"x" * 70 + b"\r\n") * (UPLOADED // 72))
        size = spoold.folder / f"{spoold.name}.store" / "data.mdb"
        harness.wait_until(lambda: os.path.getsize(size) > UPLOADS * UPLOADED * 3 // 4, 60, "the uploads in the store")
        spoold.kill()
        for client in sockets:
            client.close()


# The tests of test_crash itself run there.
def load_tests(loader, tests, pattern):
    return loader.loadTestsFromTestCase(Test)


if __name__ == "__main__":
    harness.main()
