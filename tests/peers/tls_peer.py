"""A next hop that speaks TLS, or breaks it as told; certificates made on the spot. Needs python3-cryptography.

    authority = Authority(folder)
    peer = TlsPeer(authority.certificate("mx.example"), starttls="454 4.7.0 not now")
    peer.port, peer.connections[0].commands, peer.mails
"""
import datetime
import ipaddress
import pathlib
import socket
import ssl
import threading

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Authority:
    """Signs certificates; `file` is its own, for [delivery] ca_file."""
    made = 0

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test CA")])
        self.file = self.folder / "ca.pem"
        self.own = self._sign(self.name, self.key, self.name, self.key, [], ca=True)
        self.file.write_bytes(self.own.public_bytes(serialization.Encoding.PEM))

    def _sign(self, subject, key, issuer, issuer_key, names, ca=False, days=10):
        now = datetime.datetime.utcnow()
        builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
                   .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=30))
                   .not_valid_after(now + datetime.timedelta(days=days))
                   .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True))
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(issuer_key, hashes.SHA256())

    def certificate(self, *names, days=10, self_signed=False):
        """A PEM file with the certificate and its key, for host names and addresses."""
        Authority.made += 1
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        general = [x509.IPAddress(ipaddress.ip_address(n)) if n[0].isdigit() else x509.DNSName(n) for n in names]
        signed = self._sign(subject, key, subject if self_signed else self.name, key if self_signed else self.key, general, days=days)
        file = self.folder / f"{names[0]}-{Authority.made}.pem"
        file.write_bytes(signed.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        return file


class Connection:
    def __init__(self):
        self.commands = []  # (under TLS, text)
        self.resumed = None


class TlsPeer:
    """`starttls`: "ok", None (not offered), a reply, or one of close, garbage, stall, inject, half (220, then no TLS), late
    (closes after the handshake). `keywords`: further ones of EHLO under TLS; `refused`: recipients; `auth`: (username, password) that it takes; `implicit`: smtps; `listen`: address and port."""

    def __init__(self, certificate, starttls="ok", implicit=False, auth=None, mechanisms="PLAIN LOGIN", tls13=True,
                 listen=("127.0.0.1", 0), keywords=(), refused=()):
        self.keywords, self.refused = list(keywords), refused
        self.starttls, self.implicit, self.auth, self.mechanisms = starttls, implicit, auth, mechanisms
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate)
        if not tls13:
            self.context.maximum_version = ssl.TLSVersion.TLSv1_2
        self.connections, self.mails, self.stop = [], [], threading.Event()
        self.listener = socket.create_server(listen)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.stop.set()
        self.listener.close()

    def url(self, host="127.0.0.1"):
        return f"{'smtps' if self.implicit else 'smtp'}://{host}:{self.port}"

    def _accept(self):
        while not self.stop.is_set():
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        connection = Connection()
        self.connections.append(connection)
        sock.settimeout(60)
        try:
            if self.implicit:
                sock = self.context.wrap_socket(sock, server_side=True)
                connection.resumed = sock.session_reused
            self._talk(sock, connection)
        except (OSError, ValueError):
            pass
        finally:
            sock.close()

    def _talk(self, sock, connection):
        file = sock.makefile("rb")

        def say(text):
            sock.sendall(text.encode() + b"\r\n")

        def hear():
            line = file.readline()
            if not line:
                raise OSError
            text = line.decode("utf-8", "replace").rstrip("\r\n")
            connection.commands.append((isinstance(sock, ssl.SSLSocket), text))
            return text

        say("220 peer.example")
        sender, rcpts = None, []
        while True:
            line = hear()
            verb = line.split(" ")[0].upper().split(":")[0]
            if verb in ("EHLO", "LHLO"):
                offers = ["peer.example", "PIPELINING", "8BITMIME"]
                if self.starttls is not None and not isinstance(sock, ssl.SSLSocket):
                    offers.append("STARTTLS")
                if isinstance(sock, ssl.SSLSocket):
                    offers += self.keywords
                if self.auth:
                    offers.append("AUTH " + self.mechanisms)
                say("\r\n".join(f"250{' ' if o is offers[-1] else '-'}{o}" for o in offers))
            elif verb == "STARTTLS":
                how = self.starttls
                if how == "close":
                    return
                if how == "stall":
                    self.stop.wait(60)
                    return
                if how == "garbage":
                    say("what is STARTTLS?")
                    continue
                if how == "inject":
                    say("220 go\r\n250 injected")
                elif how in ("ok", "late"):
                    say("220 go")
                elif how == "half":
                    say("220 go")
                    file.read(1)
                    say("500 surprise")
                    return
                else:
                    say(how)
                    continue
                sock = self.context.wrap_socket(sock, server_side=True)
                connection.resumed = sock.session_reused
                if how == "late":
                    return
                file = sock.makefile("rb")
            elif verb == "AUTH":
                import base64
                if line.upper().startswith("AUTH PLAIN "):
                    given = tuple(base64.b64decode(line.split(" ")[2]).decode().split("\0")[1:])
                else:
                    say("334 VXNlcm5hbWU6")
                    user = base64.b64decode(hear()).decode()
                    say("334 UGFzc3dvcmQ6")
                    given = (user, base64.b64decode(hear()).decode())
                say("235 2.7.0 ok" if given == self.auth else "535 5.7.8 no such user or password")
            elif verb == "MAIL":
                sender, rcpts = line, []
                say("250 2.1.0 ok")
            elif verb == "RCPT":
                address = line[line.index("<") + 1:line.index(">")]
                if address in self.refused:
                    say("550 5.1.1 no such user")
                else:
                    rcpts.append(address)
                    say("250 2.1.5 ok")
            elif verb == "DATA" and not rcpts:
                say("554 5.5.1 no valid recipients")
            elif verb == "DATA":
                say("354 go")
                content = b""
                while (part := file.readline()) != b".\r\n":
                    if not part:
                        return
                    content += part
                self.mails.append((isinstance(sock, ssl.SSLSocket), sender, rcpts, content))
                say("250 2.0.0 accepted")
            elif verb == "RSET":
                say("250 2.0.0 ok")
            elif verb == "QUIT":
                say("221 2.0.0 bye")
                return
            else:
                say("502 5.5.1 what")


class TlsPeers:
    """Of a harness.Case: an authority of its own, and peers with certificates by it."""

    def setUp(self):
        super().setUp()
        self.authority = Authority(self.folder)
        self.good = self.authority.certificate("localhost", "127.0.0.1")

    def tls_peer(self, certificate=None, **options):
        peer = TlsPeer(certificate or self.good, **options)
        self.addCleanup(peer.close)
        return peer
