"""Filters that are away, late, die between any two octets, or say what they may not: nothing is lost, and nobody else waits."""
# ctest: slow serial
import signal
import smtplib
import socket
import threading
import time

import harness
from peers.milter import CLOSE, CONTINUE, PROGRESS, REJECT, SILENT, Milter, frame
from test_milter import AWAY, MAIL, Case


class Trouble(Case):
    def test_a_filter_that_is_away(self):
        gone = self.milter()
        gone.stop()
        spoold = self.house(gone, {"address": f"unix:{self.folder}/none", "when_away": "accept"}, settings={})
        self.assertEqual(self.send(spoold), (451, AWAY))
        self.assertIn(f"milter={gone.address} from=anne@here.example reply=\"connect: Connection refused; 451 4.7.1 ", spoold.lines("milter")[0])
        for when, code in (("reject", 550), ("accept", 250)):
            before = len(spoold.lines("reload"))
            spoold.configure(milter=[{"address": gone.address, "when_away": when}])
            spoold.process.send_signal(signal.SIGHUP)
            harness.wait_until(lambda n=before: len(spoold.lines("reload")) > n, 10, "the reload")
            self.assertEqual(self.send(spoold)[0], code)
        self.assertEqual(len(self.copies()), 1)
        self.assertIn("it goes on without the filter", spoold.lines("milter")[-1])
        self.assertEqual(spoold.ctl("stats")["milter_troubles"], len(spoold.lines("milter")))

    def test_trouble_at_each_step(self):
        filter = self.milter()
        spoold = self.house(filter)
        troubles = {"closes": CLOSE, "garbage": b"HTTP/1.1 400 no\r\n\r\n", "half": b"\0\0\0\1", "bare": frame("Z"), "early": Milter.field("X", "1")}
        lines = 0
        for letter in "OCHMRTLNBE":
            for name, action in troubles.items():
                if letter == "E" and name == "early":
                    continue
                with self.subTest(letter=letter, trouble=name):
                    def answer(connection, _, action=action, name=name):
                        if name == "half":
                            connection.sendall(action)
                        return CLOSE if name == "half" else action
                    filter.plan = {letter: answer}
                    self.assertEqual(self.send(spoold), (451, AWAY))
                    lines += 1
                    filter.plan = {}
        self.assertEqual(len(spoold.lines("milter")), lines)
        self.nothing_came(spoold)
        self.assertEqual(self.send(spoold)[0], 250)
        self.assertEqual(len(self.copies()), 1)
        spoold.check()

    def test_a_filter_that_dies_between_any_two_octets_of_its_answer(self):
        filter = self.milter()
        spoold = self.house(filter)
        answer = b"".join([Milter.field("X-Spam", "yes"), Milter.envelope("+", "<y@far.example>"), Milter.body(b"new\r\n"), CONTINUE])
        client = self.client(spoold)
        for cut in range(len(answer)):
            def dies(connection, _, cut=cut):
                connection.sendall(answer[:cut])
                return CLOSE
            filter.plan = {"E": dies}
            self.assertEqual(self.send(spoold, client=client), (451, AWAY), cut)
        self.nothing_came(spoold)
        filter.plan = {"E": answer}
        self.assertEqual(self.send(spoold, client=client)[0], 250)
        self.assertEqual(sorted(self.copies()[0][1]), ["x@far.example", "y@far.example"])

    def test_without_a_filter_in_trouble_mail_goes_on_as_it_came(self):
        filter = self.milter({"E": [Milter.field("X-Half", "1"), Milter.body(b"half"), frame("h", b"bad")]})
        spoold = self.house(filter, when_away="accept")
        self.assertEqual(self.send(spoold)[0], 250)
        copy = self.copies()[0][2]
        self.assertNotIn("X-Half", copy)
        self.assertTrue(copy.endswith("\nHello\n..dots\nlast\n"), copy)

    def test_late_answers_and_progress(self):
        def slow(connection, _):
            for _ in range(3):
                time.sleep(1)
                connection.sendall(PROGRESS)
            return CONTINUE
        filter = self.milter({"E": slow})
        spoold = self.house({"address": filter.address, "timeout": "2s"})
        self.assertEqual(self.send(spoold)[0], 250)
        # Progress without an end is late, too: four times the time of an answer.
        def endless(connection, _):
            while True:
                time.sleep(0.3)
                connection.sendall(PROGRESS)
        filter.plan["E"] = endless
        began = time.monotonic()
        self.assertEqual(self.send(spoold), (451, AWAY))
        self.assertLess(time.monotonic() - began, 8 + 6 * harness.SLOW)
        for letter in "LE":
            filter.plan = {letter: SILENT}
            self.assertEqual(self.send(spoold), (451, AWAY), letter)
        self.assertIn("end of data: no answer in time", spoold.lines("milter")[-1])
        self.assertEqual(len(self.copies()), 1)

    def test_answers_twice_and_for_the_message_before(self):
        filter = self.milter({"E": [CONTINUE, REJECT]})
        spoold = self.house(filter)
        client = self.client(spoold)
        for _ in range(3):
            self.assertEqual(self.send(spoold, client=client)[0], 250)
            time.sleep(0.05)
        self.assertEqual(filter.connections, 3)
        self.assertEqual(len([x for x in spoold.lines("milter") if "an answer that nobody waited for; a new connection is made" in x]), 2)
        filter.plan = {"M": [CONTINUE, CONTINUE]}
        client = self.client(spoold)
        self.assertEqual(self.send(spoold, client=client), (451, AWAY))

    def test_nobody_else_waits(self):
        filter = self.milter({"E": lambda _, __: SILENT, "M": lambda _, data: SILENT if b"slow" in data else None}, steps=0x10 | 0x20)
        spoold = self.house({"address": filter.address, "timeout": "30s"})
        filter.plan["E"] = None
        stuck = [threading.Thread(target=lambda: self.swallow(spoold), daemon=True) for _ in range(8)]
        for one in stuck:
            one.start()
        harness.wait_until(lambda: filter.commands().count("M") >= 8, 20, "eight sessions that wait")
        began = time.monotonic()
        for _ in range(5):
            self.assertEqual(self.send(spoold)[0], 250)
        self.assertLess(time.monotonic() - began, 3 * harness.SLOW)
        late = max(loop["lag_ms"] for loop in spoold.ctl("stats")["loops"] if loop["name"].startswith("receive")) if harness.SLOW == 1 else 0
        self.assertLess(late, 50)
        # The stop does not wait for the filter longer than for a client.
        began = time.monotonic()
        spoold.stop()
        self.assertLess(time.monotonic() - began, 10 * harness.SLOW)

    def swallow(self, spoold):
        try:
            self.send(spoold, sender="slow@here.example")
        except (smtplib.SMTPException, OSError):
            pass

    def test_killed_while_a_message_waits_for_its_filter(self):
        waits = threading.Event()

        def wait(_, __):
            waits.set()
            return SILENT
        filter = self.milter({"E": wait})
        spoold = self.house({"address": filter.address, "timeout": "30s"})
        for mail in (MAIL, MAIL + "x" * 70 + "\r\n" + ("y" * 70 + "\r\n") * 8000):
            waits.clear()
            said = []

            def send(mail=mail, said=said):
                try:
                    said.append(self.send(spoold, mail))
                except (smtplib.SMTPException, OSError):
                    said.append(None)
            thread = threading.Thread(target=send)
            thread.start()
            self.assertTrue(waits.wait(20 * harness.SLOW))
            spoold.kill()
            thread.join()
            self.assertIn(said[0], (None, (-1, b"")))
            spoold.start()
            self.nothing_came(spoold)
            spoold.check()
        filter.plan = {}
        self.assertEqual(self.send(spoold)[0], 250)
        self.assertEqual(len(self.copies()), 1)

    def test_a_client_that_leaves_while_its_filter_judges(self):
        filter = self.milter({"E": lambda connection, _: time.sleep(0.5) or CONTINUE})
        spoold = self.house(filter, settings={})
        with socket.create_connection(("127.0.0.1", spoold.port)) as client, client.makefile("rb") as replies:
            client.sendall(b"HELO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<x@far.example>\r\nDATA\r\n")
            while not replies.readline().startswith(b"354"):
                pass
            client.sendall(MAIL.encode() + b".\r\n")
            harness.wait_until(lambda: "E" in filter.commands(), 10, "the end of data")
        harness.wait_until(lambda: spoold.ctl("stats")["open_in"] == 0, 20, "the end of the session")
        self.assertLessEqual(len(self.copies()), 1)  # as with any 250 that nobody reads
        spoold.check()


if __name__ == "__main__":
    harness.main()
