"""The misbehaving peer misbehaves exactly as told: a judge must be right before it judges."""
import json
import pathlib
import socket

import harness


class Client:
    def __init__(self, peer):
        self.sock = socket.create_connection(("127.0.0.1", peer.port), 10)
        self.file = self.sock.makefile("rb")

    def say(self, *lines):
        self.sock.sendall("".join(line + "\r\n" for line in lines).encode())

    def hear(self):
        """One reply, its last line; None at the end of the connection."""
        try:
            while True:
                line = self.file.readline()
                if not line:
                    return None
                if line[3:4] != b"-":
                    return line.decode().rstrip()
        except ConnectionResetError:
            return "reset"
        except TimeoutError:
            return "silence"

    def begin(self):
        assert self.hear().startswith("220")
        self.say("EHLO a", "MAIL FROM:<s@x>")
        assert self.hear().startswith("250") and self.hear().startswith("250")
        return self


class Test(harness.Case):
    def test_culprits(self):
        for action, heard in {"fin": None, "close": None, "rst": "reset", "421": "421", "close:550 5.7.1 away": "550", "550 5.1.1 no": "550",
                              "silence": "silence"}.items():
            peer = self.peer("--rcpt", f"a=b@x={action}", name=f"p{len(action)}{action[0]}")
            client = Client(peer).begin()
            client.say("RCPT TO:<ok@x>")
            self.assertEqual(client.hear(), "250 2.1.5 ok")
            client.sock.settimeout(0.3)
            client.say("RCPT TO:<A=b@X>")
            reply = client.hear()
            self.assertEqual(reply and reply[:len(heard or "")], heard, action)
            if not action.startswith("550") and action != "silence":
                self.assertIn(client.hear() if reply and reply != "reset" else reply, (None, "reset"))
                self.assertEqual(len(peer.judge().drops), 1)
            self.assertEqual(peer.judge().rcpt_tries(), {"ok@x": 1, "a=b@x": 1})

    def test_works_on_when_the_client_has_gone(self):
        """A slow server, and one whose replies are lost: what was written is taken all the same."""
        for action, heard in (("stall:0.5", None), ("mute", None), ("silence", ())):
            peer = self.peer("--rcpt", f"a@x={action}", name="p" + action[:4])
            client = Client(peer).begin()
            client.say("RCPT TO:<a@x>", "BDAT 4 LAST")
            client.sock.sendall(b"ab\r\nRSET\r\nMAIL FROM:<s@x>\r\nRCPT TO:<b@x>\r\nBDAT 2 LAST\r\n\r\n")
            client.sock.settimeout(0.2)
            self.assertEqual(client.hear(), "silence")
            client.file.close()
            client.sock.close()
            wanted = {"a@x": 1, "b@x": 1} if heard is None else {}
            harness.wait_until(lambda: peer.judge().deliveries() == wanted, 5, f"{action}: {wanted}")
            self.assertEqual([e["by"] for e in peer.judge().events if e["e"] == "close"], ["them"])

    def test_transaction_and_chunks_are_logged(self):
        peer = self.peer()
        client = Client(peer).begin()
        client.say("RCPT TO:<a@x>", "RCPT TO:<b@x>", "DATA", "Message-ID: <1@x>", "", "..dot", ".", "MAIL FROM:<s+v@x>", "RCPT TO:<c@x>", "BDAT 4")
        client.sock.sendall(b"ab\r\nBDAT 0 LAST\r\nQUIT\r\n")
        self.assertEqual([client.hear()[:3] for _ in range(9)], ["250", "250", "354", "250", "250", "250", "250", "250", "221"])
        judge = peer.judge()
        self.assertEqual(judge.copies(), {("a@x", "<1@x>"): 1, ("b@x", "<1@x>"): 1, ("c@x", None): 1})
        self.assertEqual(judge.senders()["c@x"], {"s+v@x"})
        self.assertEqual((judge.drops, judge.duplicates()), ([], {}))

    def test_limits(self):
        peer = self.peer("--close-after", "rcpt:2", "--how", "fin")
        client = Client(peer).begin()
        client.say("RCPT TO:<a@x>", "RCPT TO:<b@x>", "RCPT TO:<c@x>")
        self.assertEqual([client.hear(), client.hear(), client.hear()], ["250 2.1.5 ok", "250 2.1.5 ok", None])
        peer.plan(close_after=["rejects:1"])
        client = Client(peer).begin()
        client.say("DATA")
        self.assertEqual([client.hear()[:3], client.hear()], ["554", None])

    def test_replies_held_are_flushed_or_lost_at_the_close(self):
        for mode, expected in {"late": ["250 2.1.5 ok", None], "lose": [None]}.items():
            peer = self.peer("--replies", mode, "--rcpt", "d@x=fin", name=mode)
            client = Client(peer).begin()
            client.say("RCPT TO:<a@x>", "RCPT TO:<d@x>")
            self.assertEqual([client.hear() for _ in expected], expected)

    def test_replies_in_pieces(self):
        for mode, size in {"drip": 1, "split": 7}.items():
            peer = self.peer("--replies", mode, name=mode)
            client = Client(peer)
            first = client.sock.recv(10)
            self.assertEqual(first, b"220 peer.example"[:len(first)])
            self.assertLessEqual(len(first), max(size, 9))
            self.assertIn(b"peer.example ESMTP", first + client.file.readline())
            client.say("EHLO a", "QUIT")
            self.assertEqual([client.hear(), client.hear()], ["250 ENHANCEDSTATUSCODES", "221 2.0.0 bye"])

    def test_greylist_and_plan(self):
        peer = self.peer("--greylist", "0.2")
        client = Client(peer).begin()
        client.say("RCPT TO:<a@x>")
        self.assertEqual(client.hear()[:3], "451")
        harness.time.sleep(0.25)
        client.say("RCPT TO:<a@x>")
        self.assertEqual(client.hear()[:3], "250")
        peer.plan(rcpt=["a@x=550 5.1.1 gone"])
        client.say("RCPT TO:<a@x>")
        self.assertEqual(client.hear(), "550 5.1.1 gone")

    def test_lmtp_replies_and_cut(self):
        peer = self.peer("--lmtp", "--lmtp-reply", "b@x=550 5.2.2 full", "--lmtp-cut", "2")
        client = Client(peer).begin()
        client.say("RCPT TO:<a@x>", "RCPT TO:<b@x>", "RCPT TO:<c@x>", "DATA", "Message-ID: <2@x>", "", ".")
        self.assertEqual([(client.hear() or "")[:3] for _ in range(7)], ["250", "250", "250", "354", "250", "550", ""])
        self.assertEqual([m["rcpts"] for m in peer.judge().in_doubt], [["c@x"]])
        self.assertEqual(dict(peer.judge().deliveries()), {"a@x": 1})

    def test_sink_counts_copies(self):
        sink = self.sink()
        run = lambda: self.load("--to", sink.address, "--sessions", 3, "--messages", 30, "--recipients", 2, "--chain")
        self.assertEqual(run()["accepted"], 30)
        self.assertEqual(sink.summary()["duplicates"], 0)
        self.assertEqual(run()["accepted"], 30)
        end = sink.finish()
        self.assertEqual((end["recipients"], end["duplicates"], end["distinct_recipients"], end["dropped"]), (120, 60, 60, 0))
        self.assertEqual(len(pathlib.Path(sink.log).read_text().splitlines()), 120)
        self.assertTrue(json.dumps(end))

    def test_sink_tells_100000_like_names_apart(self):
        """Its hash took member012345@d5.example and others for the same, and reported duplicates that were none."""
        names = self.folder / "names"
        names.write_text("".join(f"member{i:06d}@d{i % 100}.example\n" for i in range(100000)))
        sink = self.sink(log=False)
        self.load("--to", sink.address, "--messages", 1000, "--recipients", 100, "--pipelining", "--rcpt-file", names, "--size", 300)
        end = sink.finish()
        self.assertEqual((end["recipients"], end["distinct_recipients"], end["duplicates"]), (100000, 100000, 0))


if __name__ == "__main__":
    harness.main()
