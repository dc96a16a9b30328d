"""A filter made with libmilter (python3-milter), the reference: what it does stands in the Subject. libmilter.py ADDRESS LOG."""
import sys

del sys.path[0]  # milter.py of this folder is another one
import Milter


class Filter(Milter.Base):
    def __init__(self):
        self.id = Milter.uniqueID()

    def note(self, *words):
        with open(sys.argv[2], "a") as log:
            log.write(" ".join(map(str, words)) + "\n")

    def connect(self, name, family, address):
        self.note("connect", name, address[0] if address else None, self.getsymval("j"))
        return Milter.CONTINUE

    def hello(self, name):
        self.note("hello", name)
        return Milter.CONTINUE

    def envfrom(self, sender, *words):
        self.subject, self.octets = "", 0
        self.note("from", sender)
        return Milter.CONTINUE

    def envrcpt(self, to, *words):
        self.note("to", to)
        if "refuse" in to:
            self.setreply("550", "5.7.1", "not", "this one")
            return Milter.REJECT
        return Milter.CONTINUE

    @Milter.noreply
    def header(self, name, value):
        if name == "Subject":
            self.subject = value
        return Milter.CONTINUE

    def eoh(self):
        return Milter.CONTINUE

    def body(self, chunk):
        self.octets += len(chunk)
        return Milter.SKIP if self.subject == "skip" else Milter.CONTINUE

    def eom(self):
        self.note("end", self.octets, self.getsymval("i") is not None)
        if self.subject == "all":
            self.progress()
            self.addheader("X-Added", "a\n b")
            self.addheader("X-First", "1", 0)
            self.chgheader("Subject", 1, "changed")
            self.chgheader("X-Old", 1, "")
            self.chgfrom("<other@here.example>")
            self.addrcpt("<y@far.example>")
            self.delrcpt("<x@far.example>")
            self.replacebody("new\r\n" * 20000)
        if self.subject == "quarantine":
            self.quarantine("by libmilter")
        return Milter.TEMPFAIL if self.subject == "later" else Milter.DISCARD if self.subject == "discard" else Milter.ACCEPT

    def abort(self):
        self.note("abort")
        return Milter.CONTINUE

    def close(self):
        self.note("close")
        return Milter.CONTINUE


Milter.factory = Filter
Milter.set_flags(Milter.ADDHDRS | Milter.CHGHDRS | Milter.CHGBODY | Milter.ADDRCPT | Milter.DELRCPT | Milter.QUARANTINE | Milter.CHGFROM)
Milter.runmilter("test", sys.argv[1], 60)
