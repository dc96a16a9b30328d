"""What a misbehaving peer is told to do wrong (Plan), and what it writes down (Log). Used by peer.py."""
import json
import re
import time


class Plan:
    """What to do wrong. Built from options; a --plan FILE (JSON with the same names) is laid over them."""

    def __init__(self, options):
        self.options = options
        self.reload()

    def reload(self):
        o = dict(vars(self.options))
        if self.options.plan:
            with open(self.options.plan) as f:
                for key, value in json.load(f).items():
                    key = key.replace("-", "_")
                    if key not in o:
                        raise SystemExit(f"{self.options.plan}: unknown key {key}")
                    o[key] = o[key] + value if isinstance(o[key], list) else value
        split = lambda texts: [t.rsplit("=", 1) if "=" in t else [t, "fin"] for t in texts]
        # an action may hold "=", an address too: the first "=" that follows the last "@" of the address
        self.rcpt = {}
        for text in o["rcpt"]:
            match = re.match(r"(.*?@[^=]*|[^=@]*)=(.*)$", text, re.S)
            if not match:
                raise SystemExit(f"--rcpt {text}: expected ADDRESS=ACTION")
            self.rcpt[match[1].lower()] = match[2]
        self.lmtp_reply = {a.lower(): r for a, r in split(o["lmtp_reply"])}
        self.at = {}
        for text in o["at"]:
            match = re.match(r"(banner|ehlo|mail|rcpt|data|dot|bdat|rset|quit)(?::(\d+))?(?:@(\d+)(?:-(\d+))?)?=(.*)$", text, re.S)
            if not match:
                raise SystemExit(f"--at {text}: expected STAGE[:N][@C[-D]]=ACTION")
            stage, nth, first, last, action = match.groups()
            span = (int(first), int(last or first)) if first else None
            self.at.setdefault(stage, []).append((int(nth) if nth else None, span, action))
        self.close_after = {}
        for text in o["close_after"]:
            what, _, number = text.partition(":")
            if what not in ("rcpt", "rejects", "messages", "seconds") or not number:
                raise SystemExit(f"--close-after {text}: expected rcpt:N, rejects:N, messages:N or seconds:S")
            self.close_after[what] = float(number)
        for name in ("how", "replies", "greylist", "lmtp", "pipelining", "chunking", "eight_bit", "smtputf8", "keyword", "lone_dot", "lmtp_cut", "max_connections", "bdat_keeps",
                     "content"):
            setattr(self, name, o[name])

    def action_at(self, stage, nth, connection):
        for wanted, span, action in self.at.get(stage, ()):
            if (wanted is None or wanted == nth) and (span is None or span[0] <= connection <= span[1]):
                return action
        return None


class Log:
    """JSON lines, written in pieces of 50 ms so that 10,000 transactions are not 40,000 writes."""

    def __init__(self, path):
        self.file = open(path, "w") if path else None
        self.lines = []
        self.start = time.time()

    def add(self, event):
        if self.file:
            self.lines.append(event)

    def flush(self):
        if self.lines:
            self.file.write("".join(json.dumps(e, ensure_ascii=False) + "\n" for e in self.lines))
            self.file.flush()
            self.lines = []
