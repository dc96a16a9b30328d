"""Reads the log of peer.py: what was delivered, how often, over which connections. The peer's log is the judge."""
import collections
import json


class Judge:
    def __init__(self, path):
        self.events = []
        with open(path) as f:
            for line in f:
                if line.endswith("\n"):
                    self.events.append(json.loads(line))
        self.connections = len({e["c"] for e in self.events})
        self.messages = [e for e in self.events if e["e"] == "message" and str(e["reply"]).startswith("2")]
        self.in_doubt = [e for e in self.events if e["e"] == "message" and e["reply"] is None]
        self.drops = [e for e in self.events if e["e"] == "close" and e["by"] == "us" and e.get("how") != "quit"]
        self.violations = [e for e in self.events if e["e"] == "violation"]

    def deliveries(self, message_id=None):
        """recipient -> number of copies answered 2xx (of one message, or of all)."""
        counts = collections.Counter()
        for m in self.messages:
            if message_id is None or m["id"] == message_id:
                counts.update(r.lower() for r in m["rcpts"])
        return counts

    def copies(self):
        """(recipient, Message-ID) -> number of copies: more than 1 is a duplicate."""
        return collections.Counter((r.lower(), m["id"]) for m in self.messages for r in m["rcpts"])

    def duplicates(self):
        return {key: n for key, n in self.copies().items() if n > 1}

    def senders(self):
        """recipient -> envelope senders it was sent from."""
        found = collections.defaultdict(set)
        for m in self.messages:
            for r in m["rcpts"]:
                found[r.lower()].add(m["sender"])
        return found

    def commands(self, connection=None, verb=None):
        return [e for e in self.events if e["e"] == "cmd" and (connection is None or e["c"] == connection)
                and (verb is None or e["line"].upper().startswith(verb))]

    def rcpt_tries(self):
        """recipient -> how often it was offered in RCPT."""
        counts = collections.Counter()
        for e in self.commands(verb="RCPT"):
            counts[e["line"].split("<", 1)[1].rsplit(">", 1)[0].lower()] += 1
        return counts
