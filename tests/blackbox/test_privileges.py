"""Started as root, spoold gives its user nothing that was not the user's: the user may put links where root will work.
Skipped without root."""
import os
import pathlib
import pwd
import shutil
import stat
import subprocess
import unittest

import harness

USER = "nobody"


def owner(path):
    return pwd.getpwuid(os.lstat(path).st_uid).pw_name


def mode(path):
    return stat.S_IMODE(os.lstat(path).st_mode)


@unittest.skipUnless(os.geteuid() == 0, "only root can give rights away")
class Test(harness.Case):
    def setUp(self):
        super().setUp()
        self.folder.chmod(0o755)
        # What the user may write, as adduser --home or install -d -o make it.
        self.home = self.folder / "home"
        self.home.mkdir()
        shutil.chown(self.home, USER)

    def daemon(self, store, **settings):
        spoold = harness.Spoold(self.folder, "smtp://127.0.0.1:1", harness.merge(
            {"server": {"user": USER}, "spool": {"path": str(store)}, "control": {"socket": str(self.folder / "s.sock")}}, settings), start=False)
        self.daemons.append(spoold)
        spoold.socket = pathlib.Path(spoold.settings["control"]["socket"])
        spoold.configure()
        spoold.log.touch()
        return spoold

    def refused(self, spoold):
        done = subprocess.run([harness.BUILD / "spoold", "--config", spoold.config], capture_output=True, text=True, timeout=30 * harness.SLOW)
        self.assertEqual(done.returncode, 1, done.stderr)
        return done.stderr

    def start(self, spoold):
        (self.folder / f"{spoold.name}.store").mkdir(exist_ok=True)
        spoold.start()

    def test_a_link_in_the_place_of_the_store_gives_nothing_away(self):
        precious = self.folder / "precious"
        precious.mkdir(mode=0o700)
        link = self.home / "store"
        link.symlink_to(precious)
        said = self.refused(self.daemon(link))
        self.assertIn(f"{link} belongs to somebody else", said)
        self.assertIn(f"chown -R {USER}:", said)
        self.assertEqual((owner(precious), mode(precious)), ("root", 0o700))
        self.assertEqual(list(precious.iterdir()), [])

    def test_a_folder_of_somebody_else_is_refused(self):
        theirs = self.folder / "theirs"
        theirs.mkdir()
        self.assertIn("belongs to somebody else", self.refused(self.daemon(theirs)))
        self.assertEqual(owner(theirs), "root")

    def test_a_folder_that_is_missing_is_made_for_the_user_alone(self):
        for store in (self.folder / "new/store", self.home / "store"):
            spoold = self.daemon(store)
            self.start(spoold)
            self.assertEqual((owner(store), mode(store)), (USER, 0o750))
            self.assertEqual(spoold.stop(), 0)
        self.assertEqual(owner(self.folder / "new"), "root")

    def test_sockets_have_their_mode_and_owner_from_their_first_moment(self):
        """chmod and chown of a path follow a link that the user has put there meanwhile."""
        listener = self.home / "lmtp"
        trace = self.folder / "trace"
        spoold = self.daemon(self.home / "store", control={"socket": str(self.home / "control.sock"), "mode": "0620"},
                             listen=[{"address": f"unix:{listener}", "protocol": "lmtp"}])
        spoold.wrap = ["strace", "-D", "-f", "-qq", "-e", "trace=chmod,fchmodat,chown,lchown,fchown,fchownat", "-o", str(trace)]
        self.start(spoold)
        self.assertEqual(mode(listener), 0o666)
        self.assertEqual((owner(spoold.socket), mode(spoold.socket)), (USER, 0o620))
        self.assertEqual(os.readlink(self.home / "store/control"), str(spoold.socket))
        spoold.kill()  # the sanitizer cannot look for leaks under strace
        for line in trace.read_text().splitlines():
            if "lmtp" in line or "control.sock" in line:
                self.assertIn("lchown(", line)


if __name__ == "__main__":
    harness.main()
