"""Tests which former release `.ci/release_compat` chooses, and that it runs or fails.

Each test has a repository of its own, and a `cargo` that writes down its calls and makes the binaries.
"""

import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

SCRIPT = Path(__file__).with_name("release_compat")
CARGO = """#!/usr/bin/env bash
if [ "$1" = metadata ]; then
  echo '{"packages": [{"name": "product-service"}]}'
  exit
fi
echo "$PWD $*" >>"$CALLS"
mkdir -p "$CARGO_TARGET_DIR/debug"
for binary in product-service basket-service order-service; do
  find . -name '*.rs' | sort >"$CARGO_TARGET_DIR/debug/$binary"
done
printf '#!/usr/bin/env bash\\necho "ran $*"\\n' >"$CARGO_TARGET_DIR/debug/local"
chmod +x "$CARGO_TARGET_DIR/debug/local"
"""


class ReleaseCompat(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.repository = self.folder / "repository"
        (self.repository / ".ci").mkdir(parents=True)
        shutil.copy(SCRIPT, self.repository / ".ci")
        (self.repository / "Cargo.toml").write_text("[profile.dev]\ndebug = false\n[profile.release]\nlto = true\n")
        tools = self.folder / "bin"
        tools.mkdir()
        (tools / "cargo").write_text(CARGO)
        (tools / "cargo").chmod(0o755)
        self.environment = {
            "PATH": f"{tools}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "CALLS": str(self.folder / "calls"),
            "CARGO_TARGET_DIR": str(self.folder / "target"),
            **{f"GIT_{role}_{part}": "test@example.com" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")},
        }
        self.git("init", "--quiet", "--initial-branch", "main")

    def git(self, *arguments):
        done = subprocess.run(
            ["git", *arguments], cwd=self.repository, env=self.environment, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def commit(self, subject, **files):
        """Commits files, each named by its path with `__` for `/`; None removes one."""
        for name, content in files.items():
            path = self.repository / (name.replace("__", "/") + ".rs")
            if content is None:
                path.unlink()
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", subject)
        return self.git("rev-parse", "HEAD")

    def run_script(self, *arguments, **environment):
        return subprocess.run(
            ["bash", ".ci/release_compat", *arguments],
            cwd=self.repository,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
        )

    def former_sources(self):
        """The sources of which the former release's binary was made."""
        return (self.folder / "target/release-compat/before/order-service").read_text()

    def test_parent_with_moved_folders_is_run(self):
        self.commit("parent", shared__runtime__src__listen="BIND_STDIN")
        self.commit("head", shared__runtime__src__listen=None, shared__web__src__listen="BIND_STDIN")
        done = self.run_script()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("parent", done.stdout)
        self.assertIn("ran mixes --before", done.stdout)
        self.assertIn("shared/runtime/src/listen.rs", self.former_sources())

    def test_former_release_is_compiled_in_this_profile(self):
        self.commit("parent", a="BIND_STDIN")
        self.commit("head", b="")
        self.assertEqual(self.run_script().returncode, 0)
        profile = (self.folder / "target/release-compat/profile.toml").read_text()
        self.assertEqual(profile, "[profile.dev]\ndebug = false\n")
        former, now = (self.folder / "calls").read_text().splitlines()
        self.assertIn("release-compat/profile.toml", former)
        self.assertIn("profile.dev.package.product-service.codegen-units=255", former)
        self.assertNotIn("--config", now)

    def test_parent_without_socket_takeover_fails(self):
        self.commit("parent", a="nothing")
        self.commit("head", a="BIND_STDIN")
        done = self.run_script()
        self.assertEqual(done.returncode, 1)
        self.assertIn("COMPAT_BASE", done.stderr)
        self.assertFalse((self.folder / "calls").exists())

    def test_history_without_parent_fails(self):
        self.commit("root", a="BIND_STDIN")
        done = self.run_script()
        self.assertEqual(done.returncode, 1)
        self.assertIn("whole history", done.stderr)

    def test_named_release_wins_over_parent(self):
        first = self.commit("first", first="BIND_STDIN")
        self.commit("second", second="")
        self.commit("head", third="")
        done = self.run_script(COMPAT_BASE=first)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("first", done.stdout.splitlines()[0])
        self.assertNotIn("second.rs", self.former_sources())

    def test_merge_base_is_taken_on_a_branch(self):
        landed = self.commit("landed", landed="BIND_STDIN")
        self.git("update-ref", "refs/remotes/origin/main", landed)
        self.commit("first of the branch", one="")
        self.commit("second of the branch", two="")
        done = self.run_script()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn("one.rs", self.former_sources())

    def test_parent_is_taken_where_head_has_landed(self):
        self.commit("first", first="BIND_STDIN")
        self.commit("second", second="")
        self.git("update-ref", "refs/remotes/origin/main", self.commit("head", third=""))
        done = self.run_script()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("second.rs", self.former_sources())
        self.assertNotIn("third.rs", self.former_sources())


if __name__ == "__main__":
    unittest.main()
