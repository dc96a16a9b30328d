# ctest: slow
"""spoold stops in order, whatever it is in the middle of: exit status and event=stopped are true, nothing that was answered 250
is lost, no use of what is gone (the sanitizers' reports are in the daemon's log). And it does not start on a damaged store."""
import base64
import ctypes
import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import threading
import time

import harness
from peers.client import Client

GRACE = 1        # seconds, of the daemons here
LONGEST = 10     # after the grace, whatever hangs (server/stop.hpp)
NOWHERE = "smtp://127.0.0.1:1"


class Test(harness.Case):
    def daemon(self, smarthost=NOWHERE, **settings):
        spoold = self.spoold(smarthost, harness.merge({"server": {"grace": f"{GRACE}s"}}, settings))
        spoold.list()
        return spoold

    def clients(self, spoold, count, *lines):
        all = [Client(spoold) for _ in range(count)]
        for client in all:
            self.addCleanup(client.close)
            if lines:
                client.ask(*lines)
        return all

    def ends(self, spoold, status, seconds):
        """Waits for its end; its last line names its status, and no sanitizer complained."""
        begin = time.monotonic()
        try:
            code = spoold.process.wait(seconds * harness.SLOW)
        except subprocess.TimeoutExpired:
            self.fail(f"no end within {seconds * harness.SLOW} s:\n{spoold.tail()}")
        spoold.process = None
        text = spoold.log.read_text(errors="replace")
        for report in ("ERROR: AddressSanitizer", "runtime error:", "WARNING: ThreadSanitizer"):
            self.assertNotIn(report, text)
        self.assertEqual(code, status, spoold.tail())
        self.assertIn("event=stopped ", spoold.lines()[-1])
        self.assertIn(f"status={status}", spoold.lines()[-1])
        return time.monotonic() - begin

    def stalled(self, count=3):
        """A daemon, clients that wait for their 250, and the file that stalls its disk while it exists."""
        file = self.folder / "stalled"
        before = dict(os.environ)
        self.addCleanup(lambda: (os.environ.clear(), os.environ.update(before), file.unlink(missing_ok=True)))
        # The sanitizer's library wants to be the first one; its check of that is of no use here.
        os.environ.update(LD_PRELOAD=str(harness.BUILD / "stalled_disk.so"), STALLED_DISK=str(file),
                          ASAN_OPTIONS=":".join(filter(None, [before.get("ASAN_OPTIONS"), "verify_asan_link_order=0"])))
        spoold = self.daemon()
        return spoold, self.waiting(spoold, file, count), file

    def waiting(self, spoold, file, count):
        clients = self.clients(spoold, count, "EHLO client.example", "MAIL FROM:<a@b.example>", f"RCPT TO:<{harness.LIST}>", "DATA")
        file.touch()
        for client in clients:
            client.say("From: a@b.example\r\nSubject: x\r\n\r\nx\r\n.")
        time.sleep(0.5)  # they are with the writer
        return clients

    def test_the_disk_answers_again_after_sessions_were_given_up(self):
        spoold, clients, file = self.stalled()
        spoold.process.send_signal(signal.SIGTERM)
        time.sleep(GRACE + 7.5)  # longer than sessions are waited for, shorter than the whole stop may last
        self.assertIsNone(spoold.process.poll())
        file.unlink()
        self.ends(spoold, 0, 20)
        spoold.start()
        spoold.check()

    def test_the_disk_answers_no_more(self):
        spoold, clients, file = self.stalled()
        spoold.process.send_signal(signal.SIGTERM)
        took = self.ends(spoold, 1, GRACE + LONGEST + 5)
        self.assertGreater(took, GRACE)
        self.assertIn("disk does not answer", spoold.lines()[-1])
        self.assertNotIn(b"250", b"".join(client.reply()[:3] for client in clients))
        file.unlink()
        spoold.start()
        spoold.check()

    def test_a_second_signal_ends_it_with_a_stalled_disk_and_a_third_at_once(self):
        spoold, clients, file = self.stalled()
        for _ in range(2):
            spoold.process.send_signal(signal.SIGTERM)
            time.sleep(0.1)
        self.ends(spoold, 1, 7)
        file.unlink()
        spoold.start()
        self.waiting(spoold, file, 1)
        for _ in range(3):
            spoold.process.send_signal(signal.SIGTERM)
            time.sleep(0.1)
        self.assertLess(self.ends(spoold, 1, 3), 3 * harness.SLOW)

    def test_three_hundred_sessions(self):
        spoold = self.daemon()
        idle = self.clients(spoold, 200, "EHLO client.example")
        open_ones = self.clients(spoold, 100, "EHLO client.example", "MAIL FROM:<a@b.example>", f"RCPT TO:<{harness.LIST}>")
        spoold.process.send_signal(signal.SIGTERM)
        for client in idle:
            self.assertEqual(client.reply()[:3], b"421")
        finished = open_ones[:50]
        for client in finished:
            client.say("DATA")
            self.assertEqual(client.reply()[:3], b"354")
            client.say("From: a@b.example\r\nSubject: x\r\n\r\nx\r\n.")
        accepted = sum(client.reply()[:3] == b"250" for client in finished)
        self.ends(spoold, 0, GRACE + LONGEST)
        for client in open_ones[50:]:
            self.assertNotEqual(client.reply()[:3], b"250")
        spoold.start()
        self.assertGreater(accepted, 0)
        spoold.check()

    def test_a_reroute(self):
        """The callback of a reroute woke the lanes that were gone."""
        spoold = self.daemon(domain=[{"name": "gone.example", "deliver_to": "smtp://127.0.0.1:2"}])
        file = self.folder / "many.txt"
        file.write_text("".join(f"m{i:06d}@gone.example\n" for i in range(60000)))
        spoold.ctl("member", "import", harness.LIST, file)
        spoold.post()
        spoold.process.send_signal(signal.SIGTERM)
        self.ends(spoold, 0, 30)
        del spoold.settings["domain"]
        def seen(event):
            return any(f"event={event}" in line for line in spoold.lines())

        for first in (True, False, False):
            spoold.start(wait=False)
            # The first start, or the first two, may have moved them all.
            harness.wait_until(lambda: seen("rerouted") or (seen("ready") and not first) or spoold.process.poll() is not None,
                               30, "event=rerouted", every=0.002)
            spoold.process.send_signal(signal.SIGTERM)
            self.ends(spoold, 0, 30)
        spoold.start()
        spoold.check()

    def test_a_release_in_slices(self):
        """A release goes on in slices after its answer; each slice woke lanes, also those that were gone."""
        spoold = self.daemon(None, resolver={"forward": ["127.0.0.1:1"], "trust_anchor": "none"})
        file = self.folder / "many.txt"
        file.write_text("".join(f"u{i}@d{i % 2000}.example\n" for i in range(60000)))
        spoold.ctl("member", "import", harness.LIST, file)
        spoold.post()
        spoold.ctl("hold", spoold.last_id)
        for delay in (0, 0.05, 0.1):
            asked = threading.Thread(target=lambda: spoold.run("release", spoold.last_id))
            asked.start()
            time.sleep(delay * harness.SLOW)
            spoold.process.send_signal(signal.SIGTERM)
            self.ends(spoold, 0, 30)
            asked.join()
            spoold.start()
            spoold.run("hold", spoold.last_id)
        spoold.check()

    def test_imports_and_questions_to_lanes(self):
        """A question to the lanes that waited behind two imports was asked after their loops had ended: for ever."""
        spoold = self.daemon()
        text = "".join(f"user{i}@example{i % 500}.net\n" for i in range(100000)).encode()
        requests = []
        for n in range(2):
            spoold.ctl("list", "create", f"l{n}@lists.example", "--owner", harness.OWNER)
            requests.append({"verb": "import", "list": f"l{n}@lists.example", "content": base64.b64encode(text).decode()})
        requests += [{"verb": "wake", "host": "*"}, {"verb": "list-create", "list": "l9@lists.example", "owners": [harness.OWNER]}] * 2
        requests += [{"verb": "destinations"}]
        doors = []
        for request in requests:
            door = socket.socket(socket.AF_UNIX)
            self.addCleanup(door.close)
            door.settimeout(60 * harness.SLOW)
            door.connect(str(spoold.socket))
            door.sendall(json.dumps(request).encode() + b"\n")
            doors.append(door)
            time.sleep(0.05)

        def answer_of(door):
            with door.makefile("rb") as answer:
                return json.loads(answer.readline() or b"{}")
        self.assertEqual(answer_of(doors.pop()).get("ok"), True, "destinations waits behind no import")
        spoold.process.send_signal(signal.SIGTERM)
        self.ends(spoold, 0, GRACE + LONGEST)
        answers = list(map(answer_of, doors))
        for answer in answers:
            # Nothing: the process ended while the file of an import was being read.
            self.assertIn(answer.get("exit", "none"), (0, 1, 3, "none"))
        for answer in answers[2:]:
            self.assertIn("exit", answer, "a request that waited is answered")
        spoold.start()
        spoold.check()

    def test_standard_error_that_nobody_reads(self):
        """The first thread that logged waited in write(2), then all the others for its lock, SIGTERM's handler too."""
        spoold = self.daemon()
        self.assertEqual(spoold.stop(), 0)
        reads, writes = os.pipe()
        self.addCleanup(os.close, reads)
        fcntl.fcntl(writes, fcntl.F_SETPIPE_SZ, 4096)
        spoold.process = subprocess.Popen([harness.BUILD / "spoold", "--config", spoold.config], stdin=subprocess.DEVNULL, stderr=writes)
        self.addCleanup(spoold.process.kill)
        os.close(writes)

        def greets():
            try:
                Client(spoold).close()
                return True
            except OSError:
                return False
        harness.wait_until(greets, 20, "a greeting")
        spoold.post()
        heard = b""
        while b"event=accepted" not in heard:
            self.assertTrue(select.select([reads], [], [], 20 * harness.SLOW)[0], heard)
            heard += os.read(reads, 4096)
        for _ in range(60):  # from here on nobody reads: a line each is several times what the pipe takes
            spoold.post()
        self.assertTrue(spoold.ask(verb="ping")["ok"])
        spoold.process.send_signal(signal.SIGTERM)
        self.assertEqual(spoold.process.wait((GRACE + LONGEST) * harness.SLOW), 0)
        spoold.process = None

    def test_a_row_that_cannot_be_read_ends_it(self):
        """It stayed: the lock held, the port open, no greeting, no exit status."""
        spoold = self.daemon()
        spoold.post(rcpts=["someone@elsewhere.example"])
        self.assertEqual(spoold.stop(), 0)
        cut_rows(spoold.settings["spool"]["path"], b"due")
        spoold.start(wait=False)
        self.ends(spoold, 1, 20)
        text = "\n".join(spoold.lines())
        self.assertNotIn("event=ready", text)
        self.assertIn("table due", text)
        self.assertIn("the record 'relay", text)

    def test_a_row_that_cannot_be_read_while_it_runs_ends_it(self):
        """RCPT dropped the connection without a word, again and again, and the daemon went on."""
        spoold = self.daemon()
        cut_rows(spoold.settings["spool"]["path"], b"list")
        client = Client(spoold)
        self.addCleanup(client.close)
        client.ask("EHLO client.example", "MAIL FROM:<a@b.example>")
        client.say(f"RCPT TO:<{harness.LIST}>")
        self.assertNotEqual(client.reply()[:3], b"250")
        self.ends(spoold, 1, 20)
        self.assertIn("table list", "\n".join(spoold.lines()))


def cut_rows(folder, table):
    """Every value of the table becomes one octet."""
    lmdb = ctypes.CDLL("liblmdb.so.0")

    class Value(ctypes.Structure):
        _fields_ = [("size", ctypes.c_size_t), ("data", ctypes.c_void_p)]

    def do(name, *args):
        code = getattr(lmdb, name)(*args)
        if code:
            raise AssertionError(f"{name}: {code}")

    env, txn, dbi, cursor = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_uint(), ctypes.c_void_p()
    do("mdb_env_create", ctypes.byref(env))
    do("mdb_env_set_maxdbs", env, ctypes.c_uint(64))
    do("mdb_env_set_mapsize", env, ctypes.c_size_t(5 << 30))
    do("mdb_env_open", env, os.fsencode(folder), ctypes.c_uint(0x200000), ctypes.c_uint(0o640))  # MDB_NOTLS
    do("mdb_txn_begin", env, None, ctypes.c_uint(0), ctypes.byref(txn))
    do("mdb_dbi_open", txn, table, ctypes.c_uint(0), ctypes.byref(dbi))
    do("mdb_cursor_open", txn, dbi, ctypes.byref(cursor))
    keys, key, value = [], Value(), Value()
    while lmdb.mdb_cursor_get(cursor, ctypes.byref(key), ctypes.byref(value), ctypes.c_uint(8)) == 0:  # MDB_NEXT
        keys.append(ctypes.string_at(key.data, key.size))
    lmdb.mdb_cursor_close(cursor)
    for text in keys:
        octets, one = ctypes.create_string_buffer(text, len(text)), ctypes.create_string_buffer(b"\xff", 1)
        name = Value(len(text), ctypes.cast(octets, ctypes.c_void_p))
        cut = Value(1, ctypes.cast(one, ctypes.c_void_p))
        do("mdb_put", txn, dbi, ctypes.byref(name), ctypes.byref(cut), ctypes.c_uint(0))
    do("mdb_txn_commit", txn)
    lmdb.mdb_env_close(env)
    if not keys:
        raise AssertionError(f"nothing is in table {table}")


if __name__ == "__main__":
    harness.main()
