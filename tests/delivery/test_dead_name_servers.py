# ctest: slow serial
"""Domains whose name servers are dead, or answer late, beside a domain that lives: its mail does not wait behind them."""
import socket
import struct
import threading
import time

import harness


class Forwarder:
    """A resolver for tests: dead*.example is never answered, or SERVFAIL after `late` seconds; all others are at 127.0.0.1."""

    def __init__(self, late=None):
        self.late, self.asked = late, set()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.socket.getsockname()[1]}"
        self.owed, self.ended = [], False
        self.threads = [threading.Thread(target=work, daemon=True) for work in (self.serve, self.answer_late)]
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.ended = True
        self.socket.sendto(b"", self.socket.getsockname())
        for thread in self.threads:
            thread.join()
        self.socket.close()

    def serve(self):
        while not self.ended:
            query, client = self.socket.recvfrom(4096)
            if len(query) < 12:
                continue
            labels, at = [], 12
            while query[at]:
                labels.append(query[at + 1:at + 1 + query[at]].decode().lower())
                at += 1 + query[at]
            question, kind = query[12:at + 5], struct.unpack(">H", query[at + 1:at + 3])[0]
            name = ".".join(labels)
            self.asked.add(name)
            head, rest = query[:2], query[4:6]
            if name.startswith("dead"):
                if self.late is not None:
                    self.owed.append((time.monotonic() + self.late, head + b"\x81\x82" + rest + b"\0\0\0\0\0\0" + question, client))
            elif kind == 1:
                answer = b"\xc0\x0c\0\1\0\1\0\0\1\0\0\4\x7f\0\0\1"
                self.socket.sendto(head + b"\x81\x80" + rest + b"\0\1\0\0\0\0" + question + answer, client)
            else:
                self.socket.sendto(head + b"\x81\x80" + rest + b"\0\0\0\0\0\0" + question, client)

    def answer_late(self):
        while not self.ended:
            while self.owed and self.owed[0][0] <= time.monotonic():
                _, reply, client = self.owed.pop(0)
                self.socket.sendto(reply, client)
            time.sleep(0.01)


class Test(harness.Case):
    def living_beside(self, dead, late):
        dns = Forwarder(late)
        self.addCleanup(dns.stop)
        sink = self.sink()
        spoold = self.spoold(settings={
            "server": {"threads": 1}, "smtp": {"max_recipients": 5000}, "delivery": {"retry": ["1h"]},
            "resolver": {"forward": [dns.address], "trust_anchor": "none"},
            "destination": [{"match": f"living{i}.example", "port": sink.port} for i in range(6)]})
        spoold.post("a@dead0.example", rcpts=[f"a@dead{i}.example" for i in range(dead)])
        harness.wait_until(lambda: len([n for n in dns.asked if n.startswith("dead")]) > 50, 20, "dead domains are asked for")
        # At the beginning, and again while all slots have aged.
        waits = []
        for i, pause in enumerate((0, 1, 3, 6)):
            time.sleep(pause)
            began = time.monotonic()
            spoold.post(f"a@living{i}.example")
            sink.wait(i + 1, 60)
            waits.append(time.monotonic() - began)
        print(f"{dead} dead domains, late {late}: living ones waited {', '.join(f'{w:.2f}' for w in waits)} s")
        self.assertLess(max(waits), 2 * harness.SLOW)
        return spoold, dns

    def test_a_forwarder_that_stays_silent(self):
        self.living_beside(1000, None)

    def test_a_forwarder_that_answers_late(self):
        self.living_beside(1000, 6)

    def test_domains_that_failed_lately_are_asked_after_all_others(self):
        spoold, dns = self.living_beside(400, 0.5)
        harness.wait_until(lambda: len(spoold.lines("unreachable")) >= 400, 60, "all dead domains are unreachable")
        spoold.ctl("retry", "--all")
        began = time.monotonic()
        spoold.post("a@living5.example")
        harness.wait_until(lambda: [x for x in spoold.lines("delivered") if "living5.example" in x], 20, "delivered")
        self.assertLess(time.monotonic() - began, 2 * harness.SLOW)


if __name__ == "__main__":
    harness.main()
