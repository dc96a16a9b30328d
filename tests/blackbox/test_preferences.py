"""What single members wish, and persons with several addresses: by `spoolctl`, by mail, and in what the next hop gets."""
import harness
from peers.correspondents import Correspondents

ANNA, HOME, BERT, CARL, OWNER = "anna@work.example", "anna@home.example", "bert@dest.example", "carl@dest.example", "owner@dest.example"


class Test(Correspondents):
    def start(self, **of_list):
        spoold = self.spoold(self.keep_mail(), {"delivery": {"retry": ["1h"]}})
        spoold.list(members=(ANNA, BERT, CARL), owner=OWNER, nonmembers="reject", **of_list)
        return spoold

    def send(self, spoold, sender, to, subject="hello", text="hello", headers=""):
        return self.submit(spoold, sender, to, f"From: {sender}\nTo: {to}\nSubject: {subject}\n{headers}\n{text}\n")

    def readers(self, spoold, sender=BERT, headers=""):
        """Who gets a post of `sender`."""
        said = self.send(spoold, sender, harness.LIST, headers=headers)
        self.assertTrue(said.startswith("250"), said)
        return set(spoold.recipients(said.split()[-1]))

    def test_preferences_of_one_member(self):
        spoold = self.start()
        everybody = {ANNA, BERT, CARL}
        self.assertEqual(self.readers(spoold), everybody)
        row = spoold.ctl("member", "set", harness.LIST, BERT, "own_posts=false", "avoid_duplicates=true", "language=de")
        self.assertEqual(row["preferences"], {"own_posts": False, "avoid_duplicates": True, "language": "de", "vacation": None})
        self.assertEqual(self.readers(spoold), {ANNA, CARL})
        self.assertEqual(self.readers(spoold, ANNA), everybody)
        self.assertEqual(self.readers(spoold, ANNA, f"Cc: {BERT}, {CARL}\n"), {ANNA, CARL})
        # A vacation ends by itself; what is over has no effect.
        spoold.ctl("member", "set", harness.LIST, CARL, "vacation=2099-01-01")
        self.assertEqual(self.readers(spoold, ANNA), {ANNA, BERT})
        spoold.ctl("member", "set", harness.LIST, CARL, "vacation=2020-01-01..2021-01-01")
        self.assertEqual(self.readers(spoold, ANNA), everybody)
        table = spoold.run("members", harness.LIST).stdout
        self.assertIn("own_posts=false avoid_duplicates=true language=de", table)
        self.assertIn("vacation=2020-01-01T00:00:00.000Z..2021-01-01T00:00:00.000Z", table)
        failed = spoold.run("member", "set", harness.LIST, CARL, "vacation=tomorrow")
        self.assertEqual(failed.returncode, 2)
        self.assertIn("vacation: 'tomorrow' is no vacation", failed.stderr)
        self.assertIn("vacation=FROM..UNTIL", spoold.run("member", "set", "--help").stdout)
        # By mail, confirmed by one token, answered in the member's language.
        self.assertIn("250", self.send(spoold, BERT, "test-request@lists.example", "set own on", "set duplicates on\nset vacation 2030-01-01 2030-02-01\n"))
        letter = self.letter(BERT, "Bitte bestätigen: Änderung bei test@lists.example")
        self.assertIn("eigene Nachrichten: ja", letter.get_content())
        self.assertNotIn("Zustellung", letter.get_content())
        self.assertIn("250", self.send(spoold, BERT, letter["From"]))
        preferences = spoold.ctl("member", "show", harness.LIST, BERT)["preferences"]
        self.assertEqual((preferences["own_posts"], preferences["avoid_duplicates"]), (True, False))
        self.assertEqual(preferences["vacation"]["until"], "2030-02-01T00:00:00.000Z")
        self.assertIn("nichts im Urlaub: 2030-01-01..2030-02-01", self.letter(BERT, "Ihre Zustellung von test@lists.example ist geändert").get_content())
        spoold.stop()
        spoold.start()
        self.assertEqual(spoold.ctl("member", "show", harness.LIST, BERT)["preferences"], preferences)
        spoold.check()

    def test_a_person_with_several_addresses(self):
        spoold = self.start()
        self.assertIn("550 5.7.1", self.send(spoold, HOME, harness.LIST))
        person = spoold.ctl("address", "add", ANNA, HOME, "anna@third.example")
        self.assertEqual([one["address"] for one in person["addresses"]], [ANNA, HOME, "anna@third.example"])
        self.assertEqual(spoold.ctl("address", "list", HOME), [{k: v for k, v in person.items() if k not in ("ok", "exit", "dry_run")}])
        # His post is a member's, by the rules for members.
        self.assertEqual(self.readers(spoold, HOME), {ANNA, BERT, CARL})
        spoold.ctl("member", "set", harness.LIST, ANNA, "moderation=hold")
        self.assertIn("250", self.send(spoold, HOME, harness.LIST, "to be held"))
        [held] = spoold.ctl("held", harness.LIST)
        self.assertEqual(held["rule"], "member_moderation")
        spoold.ctl("discard", held["id"])
        spoold.ctl("member", "set", harness.LIST, ANNA, "moderation=default")
        # Two memberships are one copy, and what he says once counts for both.
        spoold.ctl("member", "add", harness.LIST, HOME)
        self.assertEqual(self.readers(spoold), {ANNA, BERT, CARL})
        spoold.ctl("address", "set", HOME, "preferred=true")
        self.assertEqual(self.readers(spoold), {HOME, BERT, CARL})
        spoold.ctl("address", "set", HOME, "own_posts=false")
        self.assertEqual(self.readers(spoold, "anna@third.example"), {BERT, CARL})
        spoold.ctl("member", "remove", harness.LIST, HOME)
        # His commands work from each address; the token goes to where he asked from.
        self.assertIn("250", self.send(spoold, HOME, "test-leave@lists.example"))
        letter = self.letter(HOME, "Please confirm that you leave test@lists.example")
        self.assertIn(ANNA, letter.get_content())
        self.assertIn("250", self.send(spoold, HOME, letter["From"]))
        self.assertEqual({row["address"] for row in spoold.ctl("members", harness.LIST)}, {BERT, CARL})
        # Moved between his addresses he stays the person.
        spoold.ctl("member", "add", harness.LIST, ANNA)
        spoold.ctl("member", "move", harness.LIST, ANNA, HOME)
        self.assertEqual(self.readers(spoold, ANNA), {BERT, CARL})
        taken = spoold.run("address", "add", BERT, HOME)
        self.assertEqual(taken.returncode, 1)
        self.assertIn("is an address of another person already", taken.stderr)
        # An address that is not verified, or is taken away, counts for nothing.
        spoold.ctl("address", "set", ANNA, "verified=false")
        self.assertIn("550 5.7.1", self.send(spoold, ANNA, harness.LIST))
        spoold.ctl("address", "remove", "anna@third.example")
        self.assertIn("550 5.7.1", self.send(spoold, "anna@third.example", harness.LIST))
        self.assertEqual(spoold.run("address", "list", "anna@third.example").returncode, 3)
        self.assertIn(f"added {HOME} to the addresses of {ANNA}", [row["detail"] for row in spoold.ctl("trace", HOME)])
        spoold.stop()
        spoold.check()


if __name__ == "__main__":
    harness.main()
