"""The judges of the measurements: the sink notices a wrong envelope sender, --rate charges a stall to those who had to wait,
budgets are judged by the median of ratios run by run."""
import pathlib
import smtplib
import socket
import sys
import threading
import time
import unittest

import harness
from peers.tls_peer import Authority

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from table import Budget, spread  # noqa: E402


class Sink(harness.Case):
    def send(self, sink, sender, *recipients):
        with smtplib.SMTP("127.0.0.1", sink.port, local_hostname="client.example", timeout=20) as client:
            client.sendmail(sender, recipients, "Message-ID: <1@client.example>\r\n\r\n")

    def test_verp_sender_of_another_member_is_wrong(self):
        sink = self.sink("--verp", "test-bounces@lists.example")
        self.send(sink, "test-bounces+anne=north.example@lists.example", "anne@north.example")
        self.assertEqual(sink.summary()["wrong_senders"], 0)
        for wrong in ("test-bounces+anna=north.example@lists.example", "test-bounces+anne=south.example@lists.example", "test-bounces@lists.example",
                      "other-bounces+anne=north.example@lists.example", "test-bounces+anne=north.example@lists.invalid", ""):
            before = sink.summary()["wrong_senders"]
            self.send(sink, wrong, "anne@north.example")
            self.assertEqual(sink.summary()["wrong_senders"], before + 1, wrong)
        self.assertEqual(sink.summary()["first_wrong"], "test-bounces+anna=north.example@lists.example for anne@north.example")

    def test_plain_sender_where_it_is_expected(self):
        sink = self.sink("--sender", "load@sender.example", "--verp", "test-bounces@lists.example")
        self.send(sink, "load@sender.example", "anne@north.example", "bart@east.example")
        self.send(sink, "test-bounces+bart=east.example@lists.example", "bart@east.example")
        self.assertEqual(sink.summary()["wrong_senders"], 0)
        self.send(sink, "test-bounces+bart=east.example@lists.example", "anne@north.example", "bart@east.example")
        self.assertEqual(sink.summary()["wrong_senders"], 1)

    def test_durable_what_was_answered_is_in_the_file(self):
        file = pathlib.Path(self.folder) / "durable"
        sink = self.sink("--durable", file)
        for n in range(3):
            with smtplib.SMTP("127.0.0.1", sink.port, local_hostname="client.example", timeout=20) as client:
                client.sendmail("load@sender.example", ["anne@north.example"], f"Message-ID: <{n}@client.example>\r\n\r\ntext\r\n")
                self.assertIn(b"Message-ID: <%d@client.example>\r\n\r\ntext\r\nanne@north.example" % n, file.read_bytes())
        self.assertEqual(sink.summary()["distinct_deliveries"], 3)


class Tls(harness.Case):
    def test_messages_under_starttls_kept_in_one_write_and_a_connection_each(self):
        sink = self.sink("--sender", "load@sender.example")
        pem = str(Authority(self.folder).certificate("localhost"))
        spoold = harness.Spoold(self.folder, sink.url, {"tls": [{"certificate": pem, "key": pem}]}, start=False)
        self.daemons.append(spoold)
        spoold.settings["listen"] = [{"address": spoold.address, "tls": "starttls"}]
        spoold.start()
        for run, options in (("kept", ("--pipelining",)), ("chain", ("--chain", "--size", 100000)), ("each", ("--connection-per-message",))):
            report = self.load("--to", spoold.address, "--sessions", 10, "--messages", 60, "--starttls", "--run", run, *options)
            self.assertEqual((report["accepted"], report["lost"]), (60, 0))
            self.assertTrue(report["connections"] >= 60 if run == "each" else report["connections"] == 10, report)
        sink.wait(180)
        self.assertEqual(sink.summary()["distinct_deliveries"], 180)
        lines = spoold.lines("accepted")
        self.assertEqual(len([line for line in lines if "tls=" in line]), 180, lines[:2])


class Rate(harness.Case):
    def test_a_stall_is_charged_to_all_that_were_due(self):
        """A next hop that thinks for half a second about its first message: not only that one is late."""
        with socket.create_server(("127.0.0.1", 0)) as door:
            def serve():
                connection, _ = door.accept()
                with connection, connection.makefile("rwb") as talk:
                    def say(text):
                        talk.write(text + b"\r\n")
                        talk.flush()
                    say(b"220 slow")
                    stall = 0.5
                    for line in talk:
                        if line.startswith(b"DATA"):
                            say(b"354 go on")
                            while talk.readline() != b".\r\n":
                                pass
                            time.sleep(stall)
                            stall = 0
                        say(b"250 ok")
                        if line.startswith(b"QUIT"):
                            return
            server = threading.Thread(target=serve, daemon=True)
            server.start()
            report = self.load("--to", "127.0.0.1:%d" % door.getsockname()[1], "--messages", 100, "--rate", 100, "--size", 300)
            server.join(20)
        self.assertEqual(report["accepted"], 100)
        self.assertGreater(report["seconds"], 0.98)
        self.assertGreater(report["p99_ms"], 400)


class Budgets(unittest.TestCase):
    def test_ratio_run_by_run(self):
        budget = Budget("messages/s", "Postfix", least=15)
        ratios = budget.values([{"messages/s": 100}, {"messages/s": 300}, {"messages/s": 200}], [{"messages/s": 10}, {"messages/s": 10}, {"messages/s": 5}])
        self.assertEqual(ratios, [10, 30, 40])
        self.assertEqual(spread(ratios), "30.0 (10.0-40.0)")
        self.assertTrue(budget.met(15) and not budget.met(14.9))
        self.assertTrue(Budget("250 ms", most=10).met(10) and not Budget("250 ms", most=10).met(10.1))


if __name__ == "__main__":
    harness.main()
