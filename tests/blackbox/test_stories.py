"""Stories from end to end: a member from joining to removal as `spoolctl trace` tells it, a member who moves, LMTP with an outcome of
its own for each recipient, a held post by its Message-ID."""
import smtplib

import harness
from peers.correspondents import Correspondents

ANNA, BERT, OWNER = "anna@dest.example", "bert@dest.example", "owner@dest.example"
DSN = """From: MAILER-DAEMON@dest.example\nSubject: Undelivered Mail Returned to Sender\nMIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary=b\n
--b\nContent-Type: text/plain\n\nYour mail could not be delivered.\n--b\nContent-Type: message/delivery-status\n
Reporting-MTA: dns; dest.example\n\nFinal-Recipient: rfc822; {who}\nAction: failed\nStatus: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 no such user\n\n--b--\n"""


class Test(Correspondents):
    def start(self, settings=None, members=(BERT,), **of_list):
        spoold = self.spoold(self.keep_mail(), harness.merge({"delivery": {"retry": ["1h"]}}, settings or {}))
        spoold.list(members=members, owner=OWNER, **of_list)
        return spoold

    def send(self, spoold, to, sender=ANNA, text=None, headers=""):
        """The reply to the end of data."""
        return self.submit(spoold, sender, to, text or f"From: Some One <{sender}>\nTo: {to}\nSubject: hello\n{headers}\nhello\n")

    def drained(self, spoold):
        harness.wait_until(lambda: not spoold.queue(), 20, "an empty queue")

    def story(self, spoold, what):
        """Each event in a line: what happened, its words, what the host said."""
        lines = []
        for row in spoold.ctl("trace", what):
            reply = row.get("last_reply") or {}
            said = f"{reply.get('code', '')} {reply.get('enhanced', '') or ''} {reply.get('text', '')}" if reply else ""
            lines.append(" | ".join(filter(None, (row["event"], row.get("detail") or "", said.strip(), row.get("who") or ""))))
        return lines

    def in_order(self, lines, *parts):
        at = 0
        for part in parts:
            found = next((i for i in range(at, len(lines)) if part in lines[i]), None)
            self.assertIsNotNone(found, f"{part!r} behind line {at} of\n" + "\n".join(lines))
            at = found + 1

    def test_from_joining_to_removal(self):
        spoold = self.start(bounce_threshold="1", bounce_probe="false", bounce_warnings="0", own_posts="true", nonmembers="hold")
        self.send(spoold, "test-join@lists.example")
        confirm = self.letter(ANNA, "Please confirm that you join test@lists.example")["From"]
        self.drained(spoold)  # its outcome comes before her answer
        self.send(spoold, confirm)
        self.letter(ANNA, "Welcome to test@lists.example")
        self.drained(spoold)
        posted = self.send(spoold, harness.LIST).split()[-1]
        self.drained(spoold)
        self.send(spoold, "test-request@lists.example", text=f"From: {ANNA}\nSubject: set own off\n\n")
        self.send(spoold, self.letter(ANNA, "Please confirm a change for test@lists.example")["From"])
        spoold.ctl("address", "add", ANNA, "anna@home.example")
        from_home = self.send(spoold, harness.LIST, "anna@home.example").split()[-1]
        self.drained(spoold)
        self.next_hop.plan(rcpt=[f"{ANNA}=550 5.1.1 no such user"])
        spoold.post(sender=BERT)
        self.drained(spoold)
        self.assertEqual([row["address"] for row in spoold.ctl("members", harness.LIST)], [BERT])
        self.in_order(
            self.story(spoold, ANNA),
            "asked | join: confirm",
            "accepted | ",                            # the letter
            "delivered | 250",                        # what the host said to it
            f"edited | added {ANNA} to {harness.LIST}",
            "asked | join: joined",
            "delivered | 250",                        # the welcome
            f"from Some One <{ANNA}> for list",       # her post
            "delivered | 250",                        # her copy of it
            "asked | set: confirm",
            f"edited | changed {ANNA} of {harness.LIST}",
            "asked | set: changed",
            f"edited | added anna@home.example to the addresses of {ANNA}",
            f"moderation | accepted: member, as {ANNA}",
            "bounce | no-such-user, 1 point: 0.0 of 1.0; removed from the list; 550 5.1.1 no such user",  # in the commit of:
            "failed | 550 5.1.1 no such user",
        )
        # A post: from the arrival to what each host said.
        self.in_order(self.story(spoold, posted), "accepted | ", "delivered | 250")
        self.in_order(self.story(spoold, from_home), "accepted | ", f"moderation | accepted: member, as {ANNA}", "delivered | 250")
        self.assertNotIn("failed", "\n".join(self.story(spoold, BERT)), "of others nothing is told")
        spoold.check()

    def test_a_held_post_by_its_message_id(self):
        spoold = self.start(nonmembers="hold")
        for name in ("accepted", "rejected"):
            self.assertIn("250", self.send(spoold, harness.LIST, "eve@far.example", headers=f"Message-ID: <{name}@far.example>\n"))
        [first, second] = [row["id"] for row in spoold.ctl("held", harness.LIST)]
        notice = self.letter("test-owner@lists.example", "A post to test@lists.example is held: hello")
        self.assertNotIn("Checks:", notice.get_body().get_content(), "nothing was looked for: no line")
        message = spoold.ctl("accept", first)
        spoold.ctl("reject", second, "--reason", "off topic")
        self.drained(spoold)
        self.in_order(self.story(spoold, "<accepted@far.example>"), "moderation | held: nonmembers: eve@far.example is not a member",
                      "moderation | accepted as message ", f"accepted; it was held as {first}: nonmembers", "delivered | 250")
        self.in_order(self.story(spoold, "rejected@far.example"), "moderation | held: nonmembers", "moderation | rejected: off topic")
        self.assertNotIn("accepted@", "\n".join(self.story(spoold, "rejected@far.example")))
        self.in_order(self.story(spoold, "eve@far.example"), "held: nonmembers", "held: nonmembers", "accepted as message", "rejected: off topic")
        self.assertTrue(message["ok"])
        spoold.check()

    def test_a_member_moves(self):
        spoold = self.start(members=(ANNA, BERT), verp="always")
        spoold.ctl("member", "set", harness.LIST, ANNA, "name=Anna", "own_posts=false", "moderation=accept")
        spoold.post(sender=BERT)
        self.drained(spoold)
        [before] = [m for m in self.next_hop.judge().messages if m["rcpts"] == [ANNA]]
        old_path = before["sender"]
        self.assertEqual(old_path, "test-bounces+anna=dest.example@lists.example")
        self.send(spoold, old_path, "", DSN.format(who=ANNA))
        self.assertEqual([row["address"] for row in spoold.ctl("bounces", harness.LIST)], [ANNA])
        planned = spoold.ctl("member", "move", harness.LIST, ANNA, "anna@new.example", "--dry-run")
        self.assertEqual((planned["moved"], planned["address"], planned["dry_run"]), (ANNA, "anna@new.example", True))
        moved = spoold.ctl("member", "move", harness.LIST, ANNA, "Anna@new.example")
        self.assertEqual((moved["name"], moved["moderation"], moved["preferences"]["own_posts"]), ("Anna", "accept", False))
        self.assertEqual(spoold.ctl("bounces", harness.LIST), [], "what counted against the old address is forgotten")
        # A bounce of a copy that went to the old address is about nobody; the owners see nothing disabled.
        self.send(spoold, old_path, "", DSN.format(who=ANNA))
        self.assertEqual(spoold.ctl("bounces", harness.LIST), [])
        spoold.post(sender=BERT)
        self.drained(spoold)
        self.assertEqual(set(spoold.recipients(spoold.last_id)), {"Anna@new.example", BERT})
        for words, code in (((ANNA, "x@new.example"), 3), (("anna@new.example", BERT), 1), (("anna@new.example", "no address"), 2)):
            self.assertEqual(spoold.run("member", "move", harness.LIST, *words).returncode, code, words)
        self.in_order(self.story(spoold, ANNA), "bounce | ", f"edited | moved {ANNA} to Anna@new.example on {harness.LIST}")
        self.in_order(self.story(spoold, "anna@new.example"), f"edited | moved {ANNA}", "delivered | 250")
        spoold.check()

    def test_lmtp_has_an_outcome_for_each(self):
        port = harness.free_port()
        peer = self.peer()
        spoold = self.spoold(peer.url)
        spoold.stop()
        spoold.settings["listen"].append({"address": f"127.0.0.1:{port}", "protocol": "lmtp"})
        spoold.start()
        for name, nonmembers in (("open", "accept"), ("closed", "reject"), ("held", "hold"), ("lost", "discard")):
            spoold.list(f"{name}@lists.example", members=(BERT,), nonmembers=nonmembers)
        with smtplib.LMTP("127.0.0.1", port, local_hostname="front.example", timeout=30 * harness.SLOW) as client:
            client.ehlo()
            client.docmd(f"MAIL FROM:<{ANNA}>")
            to = [f"{name}@lists.example" for name in ("closed", "open", "held", "lost", "open-join", "nothing")]
            codes = [client.docmd(f"RCPT TO:<{one}>")[0] for one in to]
            self.assertEqual(codes, [250] * 5 + [550])
            self.assertEqual(client.docmd("DATA")[0], 354)
            client.send(f"From: {ANNA}\r\nTo: {', '.join(to)}\r\nSubject: hello\r\n\r\nhello\r\n.\r\n".encode())
            replies = [client.getreply() for _ in range(5)]
            self.assertEqual([code for code, _ in replies], [550, 250, 250, 250, 250], replies)
            self.assertIn(b"only members may post", replies[0][1])
            self.assertEqual(client.noop()[0], 250, "as many replies as recipients")
        self.assertEqual(len(spoold.ctl("held", "held@lists.example")), 1)
        self.assertEqual([row["address"] for row in spoold.ctl("requests")], [ANNA])
        harness.wait_until(lambda: not spoold.queue(), 20, "an empty queue")
        self.assertEqual(peer.judge().deliveries()[BERT], 1)
        self.assertEqual([m for m in peer.judge().messages if m["sender"] == "" and ANNA in m["rcpts"]], [], "a report, although the client was told")
        spoold.check()


if __name__ == "__main__":
    harness.main()
