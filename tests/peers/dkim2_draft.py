"""DKIM2 (draft-ietf-dkim-dkim2-spec-06) once more, in Python: an implementation for tests, which shares nothing with spoold's."""
import base64
import hashlib
import json
import re

import nacl.exceptions
import nacl.signing
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

NOW = 1795852800  # 2026-11-28T08:00:00Z
IGNORED = {"apparently-to", "arc-authentication-results", "arc-message-signature", "arc-seal", "authentication-results", "auto-submitted", "delivered-to",
           "dkim-signature", "dl-expansion-history", "original-recipient", "received", "return-path", "sio-label-history", "vbr-info", "x400-received",
           "x400-trace", "message-instance", "dkim2-signature"}
FIRST = (b"Received: from here\r\nFrom: Anne <anne@north.example>\r\nTo: test@lists.example\r\nSubject: Hello  World\r\nX-Mailer: any\r\n\r\n"
         b"line one\r\nline two\r\n\r\nline four\r\n\r\n\r\n")


def b64(octets):
    return base64.b64encode(octets).decode()


def fields_of(mail):
    header, body = mail.split(b"\r\n\r\n", 1)
    return re.findall(rb"[^\r\n]+\r\n(?:[ \t][^\r\n]*\r\n)*", header + b"\r\n"), body


def name_of(field):
    return field.split(b":")[0].strip().lower().decode()


def hashes_of(mail, name="sha256"):
    fields, body = fields_of(mail)
    rows = {}
    for field in reversed(fields):
        key = name_of(field)
        if key in IGNORED or key.startswith(("x-", "received-")):
            continue
        value = re.sub(rb"[ \t]+", b" ", field.split(b":", 1)[1].replace(b"\r\n", b"")).strip(b" ")
        rows.setdefault(key, []).append(key.encode() + b":" + value + b"\r\n")
    header = b"".join(row for key in sorted(rows) for row in rows[key])
    body = re.sub(rb"(\r\n)*$", b"", body) + b"\r\n"
    return ":".join([name, b64(hashlib.new(name, header).digest()), b64(hashlib.new(name, body).digest())])


def canonical(field):
    return name_of(field).encode() + b":" + re.sub(rb"[ \t\r\n]", b"", field.split(b":", 1)[1]) + b"\r\n"


def number(field, tag):
    return int(re.search(rb"[:;]" + tag + rb"=(\d+)", canonical(field))[1])


class Key:
    def __init__(self, algorithm):
        self.algorithm = algorithm
        if algorithm == "ed25519-sha256":
            self.key = nacl.signing.SigningKey.generate()
            self.record = "v=DKIM1; k=ed25519; p=" + b64(bytes(self.key.verify_key))
        else:
            self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            der = self.key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
            self.record = "v=DKIM1; k=rsa; p=" + b64(der)

    def sign(self, octets):
        if self.algorithm == "ed25519-sha256":
            return self.key.sign(hashlib.sha256(octets).digest()).signature
        return self.key.sign(octets, padding.PKCS1v15(), hashes.SHA256())


KEYS = {"ed": Key("ed25519-sha256"), "rsa": Key("rsa-sha256")}


def instance(mail, m, recipes=None, names=("sha256",)):
    field = f"Message-Instance: m={m};\r\n\th={','.join(hashes_of(mail, n) for n in names)};"
    if recipes is not None:
        encoded = b64(json.dumps(recipes).encode())
        field += "\r\n r=" + "\r\n  ".join(encoded[i:i + 70] for i in range(0, len(encoded), 70)) + ";"
    return field.encode() + b"\r\n" + mail


def signed(mail, i, m, domain, mf, rt, selectors=("ed",), more="", at=NOW):
    fields, _ = fields_of(mail)
    known = sorted((f for f in fields if name_of(f) == "message-instance" and number(f, b"m") <= m), key=lambda f: number(f, b"m"))
    known += sorted((f for f in fields if name_of(f) == "dkim2-signature"), key=lambda f: number(f, b"i"))
    path = f"nd={rt};" if mf is None else f"mf={b64(f'<{mf}>'.encode())};\r\n rt={','.join(b64(f'<{one}>'.encode()) for one in rt)};"

    def field(values):
        return (f"DKIM2-Signature: i={i}; m={m}; t={at}; d={domain};\r\n {path}{more}\r\n s="
                + ",\r\n  ".join(f"{s}:{KEYS[s].algorithm}:{value}" for s, value in zip(selectors, values)) + ";\r\n").encode()
    octets = b"".join(map(canonical, known)) + canonical(field([""] * len(selectors)))
    return field([b64(KEYS[s].sign(octets)) for s in selectors]) + mail


def originated(**more):
    return signed(instance(FIRST, 1), 1, 1, "north.example", "anne@north.example", ["test@lists.example"], **more)


def revised(mail=None, **more):
    """What a list does: a prefix, fields of its own, a footer, a line replaced."""
    mail = mail or originated()
    mail = mail.replace(b"Subject: Hello  World", b"Subject: [Test] Hello World").replace(b"X-Mailer", b"List-Id: <test.lists.example>\r\nX-Mailer")
    mail = mail.replace(b"line two", b"LINE 2") + b"-- \r\nfooter\r\n"
    recipes = {"h": {"subject": [{"d": [" Hello  World"]}], "list-id": []}, "b": [{"c": [1, 1]}, {"d": ["line two"]}, {"c": [3, 6]}]}
    return signed(instance(mail, 2, recipes), 2, 2, "lists.example", "test-bounces+b=x@lists.example", ["bart@east.example"], **more)


def tags(field):
    """Of a field of either kind, without blanks."""
    value = re.sub(rb"[ \t\r\n]", b"", field.split(b":", 1)[1]).decode()
    return dict(part.split("=", 1) for part in value.split(";") if part)


def dkim2_fields(mail):
    """([Message-Instance by m=], [DKIM2-Signature by i=])"""
    fields, _ = fields_of(mail)
    return (sorted((f for f in fields if name_of(f) == "message-instance"), key=lambda f: number(f, b"m")),
            sorted((f for f in fields if name_of(f) == "dkim2-signature"), key=lambda f: number(f, b"i")))


def undone(fields, body, recipes):
    """What was before: fields by name, the lowest first, and the body."""
    named = {}
    for field in reversed(fields):
        named.setdefault(name_of(field), []).append(field.split(b":", 1)[1])
    for name, steps in recipes.get("h", {}).items():
        now = named.pop(name, [])
        before = [v for step in steps for v in (now[step["c"][0] - 1:step["c"][1]] if "c" in step else [d.encode() + b"\r\n" for d in step["d"]])]
        if before:
            named[name] = before
    if "b" in recipes:
        lines = body.split(b"\r\n")[:-1] if body.endswith(b"\r\n") else body.split(b"\r\n")
        body = b"".join(line + b"\r\n" for step in recipes["b"]
                        for line in (lines[step["c"][0] - 1:step["c"][1]] if "c" in step else [d.encode() for d in step["d"]]))
    return b"".join(name.encode() + b":" + value for name, values in named.items() for value in reversed(values)) + b"\r\n" + body


def judged(mail, record):
    """Of the topmost signature: (the signature holds, the hashes hold). `record`: its key record."""
    instances, signatures = dkim2_fields(mail)
    last = tags(signatures[-1])
    selector, algorithm, value = last["s"].split(":")
    octets = b"".join(map(canonical, instances + signatures[:-1])) + canonical(signatures[-1]).replace(value.encode(), b"")
    key = base64.b64decode(re.search(r"p=([^;]+)", record)[1])
    signature = base64.b64decode(value)
    try:
        if algorithm == "ed25519-sha256":
            nacl.signing.VerifyKey(key).verify(hashlib.sha256(octets).digest(), signature)
        else:
            serialization.load_der_public_key(key).verify(signature, octets, padding.PKCS1v15(), hashes.SHA256())
        good = True
    except (nacl.exceptions.BadSignatureError, InvalidSignature):
        good = False
    return good, tags(instances[-1])["h"] == hashes_of(mail)
