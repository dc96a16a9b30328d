"""A next hop that the configuration does not name any more: what waited for it goes the way it names now."""
import harness


class Test(harness.Case):
    def test_rerouted(self):
        old, sink = f"smtp://127.0.0.1:{harness.free_port()}", self.sink()  # nobody listens at the old one
        spoold = self.spoold(sink.url, {"domain": [{"name": "moved.example", "deliver_to": old}]})
        spoold.post(to="anna@moved.example")
        qid = spoold.last_id
        harness.wait_until(lambda: spoold.lines("unreachable"), 20, "a refused connection")
        self.assertEqual(spoold.stop(), 0)
        spoold.settings["domain"] = [{"name": "moved.example"}]
        spoold.start()
        spoold.ctl("retry", qid)  # not after the old hop's minute
        sink.wait(1, 20)
        self.assertEqual([a.recipient for a in sink.arrivals()], ["anna@moved.example"])
        harness.wait_until(lambda: spoold.show(qid)["state"] == "finished", 20, "a finished message")
        spoold.check()


if __name__ == "__main__":
    harness.main()
