#!/usr/bin/env python3
# ctest: slow
"""Cases that the real Mailman 3.3.8 was given, replayed on spoold: what it sent is put beside what we send (facts.py).

cases.jsonl has the cases: settings, members, what came in, and Mailman's facts. differences.json has what differs on
purpose, each with its reason and with our facts; a case that is not there must agree, one that is there must differ, and in
just that. All lists are in one daemon; case N of a group has domains of its own (a.example is a0103.example there), so that
one case's mail tells nothing of another.

  SPOOLD_CASES=subject test_mailman_cases.py    only that group; prints what differs, in the form of differences.json
"""
import base64
import email.utils
import json
import os
import pathlib
import re
import smtplib
import subprocess

import facts
import harness

HERE = pathlib.Path(__file__).parent
GROUPS = ["subject", "reply", "decorate", "verp", "recipients", "bounce", "command", "headers", "dmarc"]
OWNER = "owner@example.org"
DELIVERY = {"by_user": "nomail_by_user", "by_moderator": "nomail_by_admin", "by_bounces": "nomail_by_bounce", "enabled": "regular",
            "mime_digests": "digest_mime", "plaintext_digests": "digest_plain"}
STATUS = {v: k for k, v in DELIVERY.items()}


class NoSuchSetting(Exception):
    pass


def plain(name, words={}):
    """A setting of spoold that means the same; `words` are other words for its values."""
    return lambda case, value: {name: words.get(value, str(value).lower() if isinstance(value, bool) else str(value))}


def reply_to(case, value):
    if value.startswith("explicit") and not case["list"]["reply_to_address"]:
        raise NoSuchSetting("reply_to_address of nothing")
    return {"reply_to": {"no_munging": "poster", "point_to_list": "list"}.get(value) or case["list"]["reply_to_address"]}


def dmarc_action(case, value):
    if value == "discard":
        raise NoSuchSetting("dmarc_mitigate_action=discard")
    return {"dmarc": {"munge_from": "munge", "wrap_message": "wrap", "reject": "reject"}[value]}


def unsubscribe(case, value):
    if "moderate" in value:
        raise NoSuchSetting(f"unsubscription_policy={value}")
    return {"unsubscribe": value}


SETTINGS = {  # of a list in Mailman: what says the same in spoold
    "subject_prefix": plain("subject_prefix"),
    "reply_goes_to_list": reply_to,
    "reply_to_address": lambda case, value: {},
    "first_strip_reply_to": lambda case, value: off("first_strip_reply_to", value),
    "personalize": plain("personalize"),
    "description": plain("description"),
    "display_name": lambda case, value: {},
    "anonymous_list": plain("anonymous"),
    "process_bounces": plain("bounce_processing"),
    "bounce_score_threshold": plain("bounce_threshold"),
    "bounce_you_are_disabled_warnings": plain("bounce_warnings"),
    "subscription_policy": plain("subscribe", {"confirm_then_moderate": "confirm+moderate"}),
    "unsubscription_policy": unsubscribe,
    "send_welcome_message": lambda case, value: {},
    "dmarc_mitigate_action": dmarc_action,
    "dmarc_mitigate_unconditionally": plain("dmarc_when", {True: "always", False: "reject"}),
}


def off(name, value):
    """A thing that spoold never does."""
    if value not in (False, "no", 0):
        raise NoSuchSetting(name)
    return {}


def verp(case):
    """Mailman's verp_delivery_interval is for posts that are not personalised."""
    if case["list"].get("personalize", "none") != "none":
        return "personalized" if case["mta"].get("verp_personalized_deliveries") == "yes" else "never"
    every = case["mta"].get("verp_delivery_interval", 0)
    return {0: "never", 1: "always"}.get(every, f"every:{every}")


def text_of_template(text):
    for theirs, ours in (("display_name", "Test"), ("listname", "$list_address"), ("user_email", "$user_address"), ("list_id", "test.lists.example.com"),
                         ("user_name_with_host", "$user_name_or_address"), ("unknown", "$${unknown}")):
        text = re.sub(r"\$\{?" + theirs + r"\b\}?", ours, text)
    return text


def settings_of(case):
    """The list in spoold's words. Throws NoSuchSetting."""
    case.setdefault("list", {}), case.setdefault("mta", {})
    ours = {"subject_prefix": "[Test]", "nonmembers": "hold", "unsubscribe": "confirm", "bounce_probe": "true" if case["mta"].get("verp_probes") == "yes" else "false", "verp": verp(case), "avoid_duplicates": "false", "dmarc": "accept"}
    for name, value in case["list"].items():
        if name not in SETTINGS:
            raise NoSuchSetting(name)
        ours.update(SETTINGS[name](case, value))
    for name, value in case["mta"].items():
        if name == "remove_dkim_headers":
            ours["author_signatures"] = "remove"
        elif name == "verp_confirmations":
            off(name, value == "no")
        elif name in ("verp_format", "verp_delimiter") or (name == "max_recipients" and 0 < value < 500):
            raise NoSuchSetting(name)  # one for the server
    for name, text in case.get("templates", {}).items():
        ours[{"list:member:regular:header": "header", "list:member:regular:footer": "footer"}[name]] = text_of_template(text)
    for flags in case["members"].values():
        for flag in flags:
            if flag in ("acknowledge", "status:unknown", "mode:summary_digests"):
                raise NoSuchSetting(flag)
            if flag == "no-own-posts":
                ours["own_posts"] = "false"
            if flag == "no-duplicates":
                ours["avoid_duplicates"] = "true"
    if case.get("bans"):
        ours["bans"] = " ".join(case["bans"])
    return ours


class Replayed:
    """One case: its own domains, and what was sent for it."""

    def __init__(self, case):
        self.case, self.id = case, case["id"]
        self.group, number = case["id"].split(".")
        self.tag = f"{GROUPS.index(self.group):02d}{number}"
        self.token, self.ours = "0" * 32, []

    def own(self, text):
        return re.sub(r"(?i)\b(lists|[a-z])(?=\.example\b)", rf"\g<1>{self.tag}", text)

    def common(self, text):
        return re.sub(r"(?i)\b(lists|[a-z])" + self.tag + r"(?=\.example\b)", r"\1", text)

    @property
    def list(self):
        return self.own("test@lists.example.com")


class Test(harness.Case):
    maxDiff = None

    def setUp(self):
        super().setUp()
        with open(HERE / "cases.jsonl", encoding="utf-8") as f:
            self.cases = [json.loads(line) for line in f]
        with open(HERE / "differences.json", encoding="utf-8") as f:
            self.table = json.load(f)
        self.only = os.environ.get("SPOOLD_CASES", "")

    def replayable(self):
        """The cases that can be replayed, and why the others cannot."""
        elsewhere = {i for row in self.table["elsewhere"] for i in row["cases"]}
        out, no_setting = [], {}
        for case in self.cases:
            if case["id"].startswith(self.only) and case["id"] not in elsewhere:
                try:
                    out.append((Replayed(case), settings_of(case)))
                except NoSuchSetting as e:
                    no_setting[case["id"]] = str(e)
        return out, no_setting

    def ask(self, **request):
        answer = self.daemon.ask(**request)
        if answer.get("exit", 0) != 0:
            raise AssertionError(f"{request}: {answer}")

    def create(self, one, settings):
        made = self.daemon.ask(verb="list-create", list=one.list, owners=[OWNER], settings={k: one.own(v) for k, v in settings.items()})
        if made.get("exit", 0) != 0:
            raise NoSuchSetting(made["error"])
        lines = [one.own(m) for m in one.case["members"]]

        def add(lines):
            return self.daemon.ask(verb="import", list=one.list, content=base64.b64encode("".join(f"{m}\n" for m in lines).encode()).decode())
        if add(lines).get("exit", 0) != 0:
            for line in lines:
                add([line])  # those that are refused are seen by the roster
        for member, flags in one.case["members"].items():
            for flag in flags:
                if ":" in flag:
                    self.ask(verb="member-set", list=one.list, address=one.own(email.utils.parseaddr(member)[1]), settings={"delivery": DELIVERY[flag.split(":")[1]]})

    def send(self, one, mail):
        """Whether it was taken, and what was given."""
        to = [one.own(t).replace("TOKEN", one.token) for t in mail["to"]]
        raw = base64.b64decode(mail["base64"]) if "base64" in mail else mail["mail"].encode()
        raw = one.own(raw.decode("latin-1")).replace("TOKEN", one.token).encode("latin-1")
        with smtplib.SMTP("127.0.0.1", self.daemon.port, local_hostname="client.example", timeout=60 * harness.SLOW) as client:
            client.ehlo()
            for command in [f"MAIL FROM:<{one.own(mail['from'])}> BODY=8BITMIME"] + [f"RCPT TO:<{t}>" for t in to]:
                if client.docmd(command)[0] != 250:
                    return False, (to, raw)
            return client.data(raw)[0] == 250, (to, raw)

    def settle(self):
        """Until nothing waits, and what failed has led to no further letter."""
        before, now = -1, 0
        while before != now:
            before = now
            harness.wait_until(lambda: not self.daemon.queue("--state", "queued,active"), 60, "each recipient was tried", every=0.1)
            now = len(self.hop.judge().events)

    def sent_since(self):
        """What the next hop got since the last call: tag of the case -> rows of facts.facts."""
        messages = self.hop.judge().messages
        rows = {}
        for m in messages[self.seen:]:
            raw = pathlib.Path(m["file"]).read_bytes()
            tag = re.search(r"(?i)\b(?:lists|[a-z])(\d{4})\.example\b", m["sender"] + raw.decode("latin-1"))
            rows.setdefault(tag and tag[1], []).append((m["sender"], m["rcpts"], raw))
        self.seen = len(messages)
        return rows

    def replay(self, replayed):
        letters = facts.spoold_letters(harness.SOURCE / "conf/templates/en")
        for step in range(max(len(one.case["steps"]) for one, _ in replayed)):
            now = [(one, one.case["steps"][step]) for one, _ in replayed if step < len(one.case["steps"])]
            given = {one.id: [self.send(one, mail) for mail in what["in"]] for one, what in now}
            self.settle()
            sent = self.sent_since()
            for one, what in now:
                rows = sent.get(one.tag, [])
                for _, to, raw in rows:
                    token = to != [OWNER] and re.search(rb"(?m)^From: .*-(?:confirm|bounces)\+([0-9a-f]{32})@", raw)
                    one.token = token[1].decode() if token else one.token
                rows = [(one.common(s), [one.common(r) for r in to], one.common(raw.decode("latin-1")).encode("latin-1")) for s, to, raw in rows]
                inputs = [([one.common(t) for t in to], one.common(raw.decode("latin-1")).encode("latin-1")) for _, (to, raw) in given[one.id]]
                found = facts.facts(one.group, inputs, rows, letters, "templates" in one.case)
                found["taken"] = [taken for taken, _ in given[one.id]]
                found.update(self.state(one, what["mailman"]))
                one.ours.append(json.loads(one.common(json.dumps(found))))

    def state(self, one, mailman):
        out = {}
        if "roster" in mailman:
            out["roster"] = sorted(row["address"] for row in self.daemon.ctl("members", one.list, ok=(0, 3)) or [])
        if "scores" in mailman:
            rows = self.daemon.ctl("bounces", one.list, ok=(0, 3)) or []
            out["scores"] = {row["address"]: [row["score"], STATUS[self.daemon.ctl("member", "show", one.list, row["address"])["delivery"]]] for row in rows}
        if "held" in mailman:
            held = self.held if self.held is not None else self.daemon.ctl("held", ok=(0, 3)) or []
            out["held"] = sum(1 for row in held if row["list"] == one.list)
        return out

    @staticmethod
    def differing(one):
        """fact -> ours, for those that differ; of a case with several steps a list."""
        out = {}
        for number, (step, ours) in enumerate(zip(one.case["steps"], one.ours), 1):
            for name in sorted(set(step["mailman"]) | set(ours)):
                theirs, mine = step["mailman"].get(name), ours.get(name)
                if name in facts.FIELDS.get(one.group, []) + ["parts"]:  # of posts that both sent
                    both = set(theirs or {}) & set(mine or {})
                    theirs, mine = ({k: v for k, v in (values or {}).items() if k in both} for values in (theirs, mine))
                if name == "letters" and len(theirs) == len(mine) and all(
                        a == b or a.split()[0] == "answer" and b.split()[0] in facts.ANSWERS and a.split()[1:] == b.split()[1:] for a, b in zip(theirs, mine)):
                    continue
                if theirs != mine:
                    out[name if len(one.case["steps"]) == 1 else f"{number}: {name}"] = mine
        return out

    def test_cases(self):
        replayed, no_setting = self.replayable()
        self.assertTrue(replayed)
        mails, texts = self.folder / "mails", self.folder / "texts"
        mails.mkdir()
        faults = []
        for one, _ in replayed:
            for step in one.case["steps"]:
                faults += [f"{one.own(address)}={reply}" for address, reply in step.get("faults", {}).items()]
            if not one.case["list"].get("send_welcome_message"):
                folder = texts / one.list.split("@")[1] / "en"
                folder.mkdir(parents=True)
                (folder / "welcome.txt").write_text("")  # no letter
        self.hop = self.peer("--content", mails, *[word for fault in faults for word in ("--rcpt", fault)])
        self.seen, self.held = 0, None
        self.daemon = self.spoold(self.hop.url, {"delivery": {"retry": ["1h"]}, "lists": {"templates": str(texts)}})
        for one, settings in list(replayed):
            try:
                self.create(one, settings)
            except NoSuchSetting as e:
                no_setting[one.id] = str(e)
                replayed.remove((one, settings))
        self.replay(replayed)
        meant = {}
        for row in self.table["differences"]:
            for name, ours in row["cases"].items():
                meant.setdefault(name, {}).update(ours)
        wrong = {}
        for one, _ in replayed:
            found = self.differing(one)
            if found != meant.get(one.id, {}):
                wrong[one.id] = (one.case["title"], found)
        if wrong:
            for name, (title, found) in wrong.items():
                print(f"{name} ({title})\n  ours:   {json.dumps(found, ensure_ascii=False)}\n  meant:  {json.dumps(meant.get(name, {}), ensure_ascii=False)}")
                for number, step in enumerate(next(c for c in self.cases if c["id"] == name)["steps"], 1):
                    theirs = {k: v for k, v in step["mailman"].items() if k in found or f"{number}: {k}" in found}
                    print(f"  Mailman {json.dumps(theirs, ensure_ascii=False)}", flush=True)
        stated = {i for row in self.table["no such setting"] for i in row["cases"] if i.startswith(self.only)}
        self.assertEqual(set(no_setting), stated, {i: no_setting.get(i) for i in set(no_setting) ^ stated})
        self.assertEqual(sorted(wrong), [], "these differ otherwise than differences.json says")
        self.daemon.check()

    def test_the_table_names_cases_once_and_tests_that_are(self):
        known = {case["id"] for case in self.cases}
        for row in self.table["elsewhere"]:
            self.assertIn(f'"{row["test"]}"' if row["file"].endswith(".cpp") else row["test"], re.sub(r"\(\s+", "(", (harness.SOURCE / row["file"]).read_text()), row["file"])
        seen = set()
        for part in ("differences", "no such setting", "elsewhere"):
            for row in self.table[part]:
                self.assertTrue(row["why"].strip().endswith("."), row["why"])
                self.assertLessEqual(set(row["cases"]), known)
                if part != "differences":
                    self.assertFalse(seen & set(row["cases"]))
                    seen |= set(row["cases"])
        self.assertFalse(seen & {i for row in self.table["differences"] for i in row["cases"]})


if __name__ == "__main__":
    harness.main()
