#!/usr/bin/env python3
"""A message whose content ends spoold whenever it is sent: after two crashes it is held, and its list goes on."""
import os
import signal

import harness


class Test(harness.Case):
    def test_a_message_that_crashes_spoold_twice_is_held_and_the_others_go_out(self):
        hop = self.peer()
        options = ":".join(filter(None, [os.environ.get("ASAN_OPTIONS"), "verify_asan_link_order=0"]))
        spoold = self.spoold(hop.url, settings={"delivery": {"retry": ["1s"]}},
                             wrap=["env", f"LD_PRELOAD={harness.BUILD / 'crashing_words.so'}", "CRASHING_WORDS=poison-of-this-test", f"ASAN_OPTIONS={options}"])
        spoold.list(members=["anne@one.example", "bart@two.example"])
        for crash in (1, 2):
            if crash == 1:
                spoold.post(body="A poison-of-this-test here.\r\n")
                poison = spoold.last_id
            self.assertEqual(spoold.process.wait(60 * harness.SLOW), -signal.SIGABRT)
            spoold.start()
        harness.wait_until(lambda: spoold.lines("held"), 20, "it is held")
        self.assertIn(f"qid={poison}", spoold.lines("held")[0])
        self.assertEqual(spoold.show(poison)["state"], "held")
        self.assertRegex(spoold.log.read_text(errors="replace"), rf"event=crashed .*qid={poison}")

        spoold.post(sender="anne@one.example", subject="the next post")
        harness.wait_until(lambda: len(hop.judge().messages) == 2, 30, "the list goes on")
        spoold.stop()
        spoold.start()
        self.assertEqual(spoold.lines("crashed"), [], "the notes are gone when the message is held")
        self.assertEqual(spoold.show(poison)["state"], "held")

        spoold.stop()
        spoold.wrap = []
        spoold.start()
        spoold.ctl("release", poison)
        harness.wait_until(lambda: len(hop.judge().messages) == 4, 30, "a mended spoold sends it")
        self.assertIn("crashed", str(spoold.ctl("trace", poison)))
        spoold.check()

    def test_a_kill_leaves_no_note(self):
        spoold = self.spoold("smtp://127.0.0.1:9")
        spoold.list(members=["anne@one.example"])
        spoold.post()
        for _ in range(2):
            spoold.kill()
            spoold.start()
        self.assertEqual(spoold.lines("held"), [])
        self.assertFalse((spoold.folder / "spoold.store" / "crashed").stat().st_size)


if __name__ == "__main__":
    harness.main()
