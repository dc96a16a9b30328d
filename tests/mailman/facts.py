"""What is compared of a case that Mailman and spoold both were given: what members and others were sent, reduced to words.

A fact is plain JSON, so that Mailman's are kept in cases.jsonl as they were reduced from its mails.
"""
import email
import email.header
import email.policy
import pathlib
import re

FIELDS = {
    "subject": ["subject"],
    "reply": ["reply-to", "from", "to", "cc"],
    "recipients": ["to", "cc", "resent-to", "resent-cc"],
    "verp": ["subject", "to", "cc"],
    "headers": ["from", "reply-to", "sender", "subject", "list-id", "list-post", "list-owner", "dkim-signature", "authentication-results"],
    "dmarc": ["from", "reply-to", "cc"],
}

MAILMAN_LETTERS = [  # a pattern of "Subject|text", and how spoold's template of that letter is called, where it has one
    (r"^(Your confirmation is needed to join|confirm )", "confirm-join"),
    (r"^Your confirmation is needed to leave", "confirm-leave"),
    (r"^Welcome to the", "welcome"),
    (r"^You have been unsubscribed", "goodbye"),
    (r"^New subscription request", "request"),
    (r"^New unsubscription request", "request-leave"),
    (r"awaits moderator approval\|", "held-poster"),
    (r"requires approval\|", "held"),
    (r"^Uncaught bounce", "uncaught-bounce"),
    (r"subscription disabled on", "owner-disabled"),
    (r"unsubscribed from .* due to bounces", "owner-removed"),
    (r"^Your subscription for .* has been disabled", "disabled"),
    (r"probe message\|", "probe"),
    (r"post acknowledgment\|", "acknowledgment"),
    (r"^The results.*No registered user", "not-member"),
    (r"^The results.*No such command", "unknown"),
    (r"^The results.*mailing list:\n", "who"),
    (r"^The results.*Confirmation email sent to", "sent"),
    (r"^The results.*Results:\n(\[\.\.\.\]\n\n)?\[\.\.\.\]\n$", "help"),
    (r"^The results.*Results:\necho ", "echo"),
    (r"^The results.*token did not match", "no-such-token"),
    (r"^The results.*Results:\nConfirmed", "confirmed"),
    (r"^The results", "answer"),
]
ANSWERS = ["help", "unknown", "who", "echo", "not-member", "already-member"]  # Mailman's "answer" is one of these: its prose was not kept


def spoold_letters(templates):
    """Patterns of "Subject|" of the letters that spoold writes: its templates."""
    rows = []
    for path in sorted(pathlib.Path(templates).glob("*.txt")):
        subject = path.read_text().split("\n", 1)[0].removeprefix("Subject: ")
        rows.append(("^" + re.sub(r"\\\$\w+", ".*", re.escape(subject)) + r"\|", path.stem))
    return sorted(rows, key=lambda row: -len(row[0]))


def text_of(part):
    """The text of a part in the charset that it names; newlines are bare LF."""
    raw = part.get_payload(decode=True) or b""
    try:
        text = raw.decode(part.get_content_charset() or "ascii", "backslashreplace")
    except LookupError:
        text = raw.decode("ascii", "backslashreplace")
    return text.replace("\r\n", "\n")


def parts_of(message):
    """Each part in order, as "DEPTH TYPE: text"; containers without text."""
    rows = []

    def walk(part, depth):
        kind = part.get_content_type()
        if part.get_content_disposition() == "attachment":
            kind += " (attachment)"
        if part.is_multipart():
            rows.append(f"{depth} {kind}")
            for inner in part.get_payload():
                walk(inner, depth + 1)
        else:
            rows.append(f"{depth} {kind}: {text_of(part)}")
    walk(message, 0)
    return rows


def field_of(message, name):
    """All values of a field, unfolded, encoded words read; None without it."""
    values = []
    for value in message.get_all(name) or []:
        text = re.sub(r"\r?\n(?=[ \t])", "", str(value))
        try:
            text = "".join(t if isinstance(t, str) else t.decode(charset or "latin-1") for t, charset in email.header.decode_header(text))
        except (LookupError, UnicodeError, email.errors.HeaderParseError):
            pass
        values.append(text)
    return "\n".join(values) if values else None


def parsed(raw):
    return email.message_from_bytes(raw, policy=email.policy.compat32)


def kind_of(message, rows):
    subject = (field_of(message, "subject") or "").strip()
    first = message
    while first.is_multipart() and first.get_payload():
        first = first.get_payload()[0]
    known = f"{subject}|{text_of(first)}"
    return next((kind for pattern, kind in rows if re.search(pattern, known, re.S)), f"other: {subject}")


def facts(group, inputs, sent, letters, with_parts=False):
    """What went out: `inputs` are the mails that came in, `sent` rows of (envelope sender, recipients, octets)."""
    copies, said = {}, []
    posts = {field_of(parsed(m), "message-id") for to, m in inputs if any(re.match(r"(?i)test@", t) for t in to)}
    others = {field_of(parsed(m), "message-id") for _, m in inputs} - posts
    for sender, recipients, raw in sent:
        message = parsed(raw)
        name = field_of(message, "message-id")
        if name in posts:
            sender = re.sub(r"\+b=[a-z2-7]{24,}@", "+b=OPAQUE@", sender)  # another one in each store
            copies.setdefault(name, []).append((sender, sorted(r.lower() for r in recipients), message))
            continue
        kind = "uncaught-bounce" if name in others and group == "bounce" else kind_of(message, letters)
        said += [f"{kind} to {re.sub('^test-owner@.*', 'owner@example.org', r)}" for r in recipients]
    out = {"letters": sorted(said)}
    if posts or copies:
        out["copies"] = {name: sorted(f"{sender} to {' '.join(to)}" for sender, to, _ in rows) for name, rows in sorted(copies.items())}
        wanted = FIELDS.get(group, []) + (["parts"] if group == "decorate" or with_parts else [])
        for field in wanted:
            values = {}
            for name, rows in sorted(copies.items()):
                each = {r: parts_of(m) if field == "parts" else field_of(m, field) for _, to, m in rows for r in to}
                same = all(v == next(iter(each.values())) for v in each.values())
                values[name] = next(iter(each.values())) if same else dict(sorted(each.items()))
            if values:
                out[field] = values
    return out
