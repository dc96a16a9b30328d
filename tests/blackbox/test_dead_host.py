# ctest: slow serial
"""100,000 due entries for a dead host and one for a living one: the living one is delivered within 1 s of a start."""
import socket

import harness

DEAD = 100000


class Test(harness.Case):
    def test_the_living_do_not_wait_for_the_dead(self):
        # Until the stop it takes connections and says nothing: a refused one would be a fault of the host, which lasts a minute.
        silent = socket.create_server(("127.0.0.1", 0))
        alive_port = silent.getsockname()[1]
        spoold = self.spoold(f"smtp://127.0.0.1:{harness.free_port()}", {
            "delivery": {"retry": ["1h"]},
            "domain": [{"name": "dead.example", "deliver_to": f"smtp://127.0.0.1:{harness.free_port()}"},
                       {"name": "alive.example", "deliver_to": f"smtp://127.0.0.1:{alive_port}"}]})
        done = self.load("--to", spoold.address, "--sessions", 100, "--messages", DEAD, "--size", 300, "--pipelining", "--rcpt", "u%n@dead.example")
        self.assertEqual(done["accepted"], DEAD)
        post = spoold.post("anne@alive.example")
        self.assertEqual(spoold.stop(), 0)
        silent.close()
        sink = self.sink(listen=f"127.0.0.1:{alive_port}")
        began = harness.time.time()
        spoold.start(wait=False)
        sink.wait(1, 30)
        [arrival] = sink.arrivals()
        took = arrival.time - began
        print(f"delivered {took:.3f} s after the start of spoold, beside {DEAD} messages for a dead host")
        self.assertEqual((arrival.recipient, arrival.message_id), ("anne@alive.example", post))
        self.assertLess(took, 1.0 * harness.SLOW)
        spoold.wait_ready()
        began = harness.time.time()
        spoold.post("bart@alive.example")
        sink.wait(2, 5)
        self.assertLess(harness.time.time() - began, 1.0 * harness.SLOW)


if __name__ == "__main__":
    harness.main()
