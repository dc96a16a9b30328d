"""People who write to a list, behind a next hop that keeps what they get."""
import email
import email.policy
import smtplib

import harness


class Correspondents(harness.Case):
    def keep_mail(self):
        """The URL of the next hop."""
        self.mails = self.folder / "mails"
        self.mails.mkdir()
        self.next_hop = self.peer("--content", self.mails)
        return self.next_hop.url

    def submit(self, spoold, sender, to, mail):
        """The reply to the end of data, or the refusal of the recipient. `mail`: lines that end with a line feed."""
        with smtplib.SMTP("127.0.0.1", spoold.port, local_hostname="far.example", timeout=30 * harness.SLOW) as client:
            client.ehlo()
            client.docmd(f"MAIL FROM:<{sender}>")
            code, said = client.docmd(f"RCPT TO:<{to}>")
            if code == 250:
                code, said = client.data(mail.replace("\n", "\r\n").encode())
            return f"{code} {said.decode()}"

    def letters(self, to, n=1):
        """Those to this address, the oldest first, when there are `n`."""
        def there():
            everything = [email.message_from_bytes(p.read_bytes(), policy=email.policy.default) for p in sorted(self.mails.iterdir(), key=lambda p: p.stat().st_mtime_ns)]
            return [m for m in everything if m["To"] == to]
        return harness.wait_until(lambda: len(there()) >= n and there(), 20, f"{n} letters to {to}")

    def letter(self, to, subject):
        def there():
            for path in self.mails.iterdir():
                mail = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
                if mail["To"] == to and mail["Subject"] == subject:
                    return mail
        return harness.wait_until(there, 20, f"{subject!r} to {to}")
