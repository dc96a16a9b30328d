"""Clients take every descriptor: accepting pauses and does not spin, the operator still gets in, and it goes on by itself."""
# ctest: serial
import os
import socket
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness  # noqa: E402


class Test(harness.Case):
    def processor_time(self, spoold):
        with open(f"/proc/{spoold.process.pid}/stat") as stat:
            words = stat.read().rsplit(") ", 1)[1].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def greeting(self, client, seconds):
        client.settimeout(seconds)
        try:
            return client.recv(200)
        except socket.timeout:
            return b""

    def test_no_descriptor_left(self):
        spoold = self.spoold(settings={"server": {"threads": 1}}, wrap=["prlimit", "--nofile=64:64"])
        spoold.list()
        clients = []
        self.addCleanup(lambda: [client.close() for client in clients])
        for _ in range(64):
            clients.append(socket.create_connection(("127.0.0.1", spoold.port), timeout=30))
        harness.wait_until(lambda: [x for x in spoold.lines("refused") if "listener=" in x], what="the listener says that it cannot accept")
        lines, used = len(spoold.lines("refused")), self.processor_time(spoold)
        time.sleep(3)
        self.assertLess(self.processor_time(spoold) - used, 0.5 * harness.SLOW)
        self.assertLessEqual(len(spoold.lines("refused")) - lines, 5)
        for _ in range(3):  # one after the other: the spare descriptor is kept again
            self.assertTrue(spoold.ask(verb="stats")["ok"])
        self.assertEqual(spoold.run("list", "set", harness.LIST, "description=changed").returncode, 0)
        for client in clients[:40]:
            client.close()
        del clients[:40]
        self.assertTrue(self.greeting(clients[-1], 20 * harness.SLOW).startswith(b"220 "))
        spoold.post()
        spoold.check()


if __name__ == "__main__":
    harness.main()
