"""What one client without any rights can do to all others: nothing. Each attack runs in a process of its own against a
spoold with one receiving thread, while another client opens a session and says EHLO again and again. That client waits
50 ms at worst, and the stop keeps its time. A round that the machine disturbed is repeated; an attack that works is seen in
every round."""
# ctest: slow serial
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness  # noqa: E402

WORST = 0.05 * harness.SLOW
ROUNDS = 4


def connect(port, seconds=60):
    s = socket.create_connection(("127.0.0.1", port), timeout=seconds)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def replies(s, lines):
    """Reads until so many lines of replies have come; all of them."""
    got = b""
    while got.count(b"\n") < lines:
        block = s.recv(1 << 20)
        if not block:
            break
        got += block
    return got


def ask(s, command, lines=1):
    s.sendall(command + b"\r\n")
    return replies(s, lines)


def opened(port, *commands):
    s = connect(port)
    replies(s, 1)
    ask(s, b"EHLO evil.example", 8)
    for command in commands:
        ask(s, command)
    return s


def read_all(s):
    try:
        while s.recv(1 << 20):
            pass
    except OSError:
        pass


def forever(attack, port, started):
    """Repeats the attack; a connection that the server ends is no end of the attack."""
    while True:
        try:
            attack(port, started)
        except OSError:
            time.sleep(0.01)


def flood(command, reads):
    """Sends one command as fast as it goes, through a session that has a sender."""
    def attack(port, started):
        s = opened(port, b"MAIL FROM:<a@b.example>")
        if reads:
            threading.Thread(target=read_all, args=(s,), daemon=True).start()
        started.set()
        block = command * ((1 << 18) // len(command))
        while True:
            s.sendall(block)
    return attack


class Strangers(harness.Case):
    def server(self, **smtp):
        settings = {"server": {"threads": 1, "grace": "2s"}, "smtp": {"trusted_networks": [], **smtp},
                    "domain": [{"name": "relayed.example", "deliver_to": "smtp://127.0.0.1:1"}]}
        return self.spoold(settings=settings)

    def attacked(self, spoold, attack, processes=1):
        """Starts the attack, waits until it is under way."""
        fork, made = multiprocessing.get_context("fork"), []
        started = fork.Event()
        for _ in range(processes):
            process = fork.Process(target=forever, args=(attack, spoold.port, started), daemon=True)
            process.start()
            self.addCleanup(process.kill)
            made.append(process)
        self.assertTrue(started.wait(30 * harness.SLOW), "the attack did not begin")
        return made

    def worst_wait(self, spoold, seconds):
        """The longest time that a new client waited for its greeting or the reply to EHLO."""
        worst, end = 0.0, time.monotonic() + seconds
        while time.monotonic() < end:
            begun = time.monotonic()
            with connect(spoold.port, 30) as s:
                replies(s, 1)
                greeted = time.monotonic()
                ask(s, b"EHLO honest.example", 8)
                worst = max(worst, greeted - begun, time.monotonic() - greeted)
            time.sleep(0.01)
        return worst

    def anonymous(self, spoold):
        """KiB of its own memory."""
        with open(f"/proc/{spoold.process.pid}/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("RssAnon"))

    def others_do_not_wait(self, spoold, seconds=1.5):
        waits = []
        while len(waits) < ROUNDS:
            waits.append(self.worst_wait(spoold, seconds))
            if waits[-1] <= WORST:
                return
        self.fail(f"another client waited {', '.join(f'{w:.3f}' for w in waits)} s in {ROUNDS} rounds, allowed are {WORST:g} s")

    def stops_in_time(self, spoold):
        begun = time.monotonic()
        self.assertEqual(spoold.stop(), 0)
        self.assertLess(time.monotonic() - begun, 2 + 1 * harness.SLOW)

    def test_refused_recipients_at_full_speed(self):
        spoold = self.server()
        spoold.list()
        self.attacked(spoold, flood(b"RCPT TO:<nobody@lists.example>\r\n", reads=True), processes=3)
        self.others_do_not_wait(spoold)
        lines = len(spoold.lines("refused"))
        time.sleep(2)
        self.assertLess(len(spoold.lines("refused")) - lines, 200)
        self.stops_in_time(spoold)

    def test_refusals_of_a_session_are_few_lines_of_the_log(self):
        spoold = self.server()
        spoold.list()
        with opened(spoold.port, b"MAIL FROM:<a@b.example>") as s:
            s.sendall(b"RCPT TO:<nobody@lists.example>\r\n" * 40)
            replies(s, 22)
        harness.wait_until(lambda: any("more" in line for line in spoold.lines("refused")), what="the line that counts the rest")
        lines = spoold.lines("refused")
        self.assertEqual(len(lines), 21)
        self.assertRegex(lines[-1], r'reply="and \d+ more" client=127.0.0.1:')

    def test_accepted_recipients_at_full_speed(self):
        spoold = self.server()
        spoold.list()
        self.attacked(spoold, flood(b"RCPT TO:<test@lists.example>\r\n", reads=True), processes=3)
        self.others_do_not_wait(spoold)
        self.stops_in_time(spoold)

    def test_commands_at_full_speed(self):
        spoold = self.server()
        for command in (b"NOOP\r\n", b"HELP\r\n", b"RSET\r\n", b"\r\n"):
            processes = self.attacked(spoold, flood(command, reads=True), processes=3)
            self.others_do_not_wait(spoold)
            for process in processes:
                process.kill()
        self.attacked(spoold, flood(b"NOOP\r\n", reads=True), processes=3)
        self.stops_in_time(spoold)

    def test_content_at_full_speed(self):
        spoold = self.server()
        spoold.list()

        def attack(port, started):
            s = opened(port, b"MAIL FROM:<a@b.example>", b"RCPT TO:<test@lists.example>", b"DATA")
            started.set()
            while True:
                s.sendall(b"x" * 70 + b"\r\n" + b"." * 70 + b"\r\n" * 2000)
        self.attacked(spoold, attack, processes=3)
        self.others_do_not_wait(spoold)
        self.stops_in_time(spoold)

    def message(self, content, *commands):
        """An attack that sends the same message again and again."""
        def attack(port, started):
            with opened(port, *commands) as s:
                ask(s, b"DATA")
                started.set()
                ask(s, content + b"\r\n.")
        return attack

    def test_a_field_of_angle_brackets_to_20_lists(self):
        spoold = self.server()
        for i in range(20):
            spoold.ask(verb="list-create", list=f"l{i}@lists.example", owners=["o@people.example"])
        field = b"\r\n ".join([b"<" * 60000] * 4)
        content = b"From: a@b.example\r\nList-Post: " + field + b">\r\nX-BeenThere: " + b"<" * 900 + b"\r\n\r\nx"
        self.attacked(spoold, self.message(content, b"MAIL FROM:<a@b.example>", *[b"RCPT TO:<l%d@lists.example>" % i for i in range(20)]))
        self.others_do_not_wait(spoold)
        self.stops_in_time(spoold)

    def test_chunks_of_one_octet_and_of_none(self):
        spoold = self.server()
        spoold.list()
        for chunk in (b"BDAT 1\r\nx", b"BDAT 0\r\n"):
            def attack(port, started, chunk=chunk):
                s = opened(port, b"MAIL FROM:<a@b.example>", b"RCPT TO:<test@lists.example>")
                threading.Thread(target=read_all, args=(s,), daemon=True).start()
                started.set()
                while True:
                    s.sendall(chunk * 5000)
            processes = self.attacked(spoold, attack, processes=3)
            self.others_do_not_wait(spoold)
            for process in processes:
                process.kill()
        self.assertEqual(spoold.queue(), [])
        self.stops_in_time(spoold)

    def test_a_million_recipients(self):
        """What a session keeps of them is bounded by max_recipients, however many it names."""
        outside = dict(os.environ)
        self.addCleanup(lambda: (os.environ.clear(), os.environ.update(outside)))
        os.environ["ASAN_OPTIONS"] = f"{outside.get('ASAN_OPTIONS', '')}:quarantine_size_mb=1"  # what is freed is not kept
        spoold = self.server(max_recipients=1000, trusted_networks=["127.0.0.0/8"])  # not ended after its errors
        self.worst_wait(spoold, 0.5)
        before, total = self.anonymous(spoold), 1_000_000 // harness.SLOW
        with opened(spoold.port, b"MAIL FROM:<a@b.example>") as s:
            reader = threading.Thread(target=read_all, args=(s,), daemon=True)
            reader.start()
            try:
                for begin in range(0, total, 5000):
                    s.sendall(b"".join(b"RCPT TO:<user%09d@relayed.example>\r\n" % i for i in range(begin, begin + 5000)))
            except OSError:
                pass  # the session was ended: that bounds it too
            self.others_do_not_wait(spoold)
            grown = self.anonymous(spoold) - before
        self.assertLess(grown, 8192 * harness.SLOW, "KiB")
        self.stops_in_time(spoold)

    def test_role_addresses_of_a_domain_with_1000_lists(self):
        spoold = self.server()
        for i in range(1000):
            spoold.ask(verb="list-create", list=f"l{i}@lists.example", owners=[f"o{i}@people{i}.example"])

        def attack(port, started):
            with opened(port, b"MAIL FROM:<>") as s:
                started.set()
                s.sendall(b"RCPT TO:<abuse@lists.example>\r\nRCPT TO:<bounces+x@lists.example>\r\n" * 450)
                replies(s, 900)
                ask(s, b"DATA")
                ask(s, b"Subject: x\r\n\r\nx\r\n.")
        self.attacked(spoold, attack)
        self.others_do_not_wait(spoold)
        self.stops_in_time(spoold)

    def test_as_many_recipients_as_a_transaction_may_have(self):
        spoold = self.server(max_recipients=4000)

        def attack(port, started):
            with opened(port, b"MAIL FROM:<a@b.example>") as s:
                for begin in range(0, 4000, 500):
                    s.sendall(b"".join(b"RCPT TO:<user%06d@relayed.example>\r\n" % i for i in range(begin, begin + 500)))
                    replies(s, 500)
                ask(s, b"DATA")
                started.set()
                ask(s, b"From: a@b.example\r\n\r\nx\r\n.")
        self.attacked(spoold, attack)
        self.others_do_not_wait(spoold, 3)
        self.stops_in_time(spoold)

    def test_the_loops_say_how_late_they_were(self):
        spoold = self.server()
        names = {loop["name"] for loop in spoold.ctl("stats")["loops"]}
        self.assertEqual(names, {"receive 0", "deliver 0"})
        self.attacked(spoold, flood(b"NOOP\r\n", reads=True))
        self.others_do_not_wait(spoold)
        for loop in spoold.ctl("stats")["loops"]:
            self.assertGreaterEqual(loop["lag_ms"], 0)
        self.assertIn("lag_ms", spoold.run("stats").stdout)

    def test_replies_that_nobody_reads(self):
        spoold = self.server(trusted_networks=["127.0.0.0/8"])  # not ended after 100 commands

        self.worst_wait(spoold, 0.5)
        before, clients = self.anonymous(spoold), []
        for _ in range(50):
            s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            s.connect(("127.0.0.1", spoold.port))
            s.setblocking(False)
            clients.append([s, b"HELP\r\n" * 60000])
        end = time.monotonic() + 3
        while time.monotonic() < end:
            for client in clients:
                try:
                    client[1] = client[1][client[0].send(client[1]):]
                except BlockingIOError:
                    pass
            time.sleep(0.02)
        self.others_do_not_wait(spoold)
        each = (self.anonymous(spoold) - before) / len(clients)
        self.assertLess(each, 150 * harness.SLOW, "KiB for each client that does not read")
        self.stops_in_time(spoold)


if __name__ == "__main__":
    harness.main()
