"""Runs ministack in a container, and writes its state down every few seconds; `healthcheck` asks one that runs.

It writes its state by itself at a clean stop only, so that one that is killed would come back without tables, queues and
users. With this it comes back as it was a moment ago: what was answered in that moment is lost, as it never is on AWS.
"""

import asyncio
import contextlib
import gc
import json
import os
import shutil
import signal
import sys
import threading
import time
import urllib.request
from pathlib import Path

PORT = os.environ["GATEWAY_PORT"]
SNAPSHOT_SECONDS = float(os.environ.get("SNAPSHOT_SECONDS", "2"))
# Of a core's time, for a state of which a snapshot takes long.
AT_MOST_A_PART_OF = 5
# A copy that hangs at a lock that somebody held when it was made.
GIVEN_UP_SECONDS = 60
NOTHING_NEW = 3


def healthcheck() -> None:
    """Any failure is told by the exit status."""
    urllib.request.urlopen(f"http://127.0.0.1:{PORT}/_ministack/health", timeout=5)


class Snapshots:
    """A folder each. `now` leads to the last one that is whole, so that no two ages are ever mixed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = folder / "now"
        self.switching = threading.Lock()
        self.stopped = False
        if not self.now.exists():
            # Files that were written one by one, before there were snapshots.
            first = folder / "0"
            first.mkdir(parents=True, exist_ok=True)
            for file in folder.glob("*.json"):
                file.rename(first / file.name)
            self.lead_to(first)
        self.forget_others()

    def take_for_ever(self) -> None:
        pause = SNAPSHOT_SECONDS
        while True:
            time.sleep(pause)
            if app._MAIN_LOOP is None:
                continue
            began = time.monotonic()
            folder = self.next()
            try:
                outcome = wait_for(asyncio.run_coroutine_threadsafe(self.copy(folder), app._MAIN_LOOP).result())
            except OSError as error:
                outcome = error
            if outcome not in (0, NOTHING_NEW):
                persistence.logger.error("No snapshot was taken: %s", outcome)
            with self.switching:
                # Else the last one is there, or being written.
                if not self.stopped:
                    if outcome == 0:
                        self.lead_to(folder)
                    self.forget_others()
            pause = max(SNAPSHOT_SECONDS, (time.monotonic() - began) * AT_MOST_A_PART_OF)

    async def copy(self, folder: Path) -> int:
        """A copy of this process, made between two requests, so that what one request changes is there whole or not at
        all. It writes while this one goes on."""
        pid = os.fork()
        if pid:
            return pid
        outcome = 1
        try:
            # Those who are connected hear of a close by the process that serves them. One by one: where the engine does not
            # know of close_range, a billion of them would be tried.
            for descriptor in map(int, os.listdir("/proc/self/fd")):
                if descriptor > 2:
                    with contextlib.suppress(OSError):
                        os.close(descriptor)
            gc.disable()
            os.nice(10)
            outcome = 0 if self.write(folder, app._build_persistence_save_dict()) else NOTHING_NEW
        except BaseException:
            persistence.logger.exception("The copy failed")
        finally:
            os._exit(outcome)

    def write_last(self, services: dict) -> None:
        """At a clean stop. Nothing that a copy writes is newer."""
        with self.switching:
            self.stopped = True
            folder = self.next()
            if self.write(folder, services):
                self.lead_to(folder)

    def write(self, folder: Path, services: dict) -> bool:
        """Whether anything is new. What is not is the same file as before."""
        folder.mkdir()
        for file in self.now.glob("*.json"):
            os.link(file, folder / file.name)
        new = False
        for service, get_state in services.items():
            try:
                state = get_state()
                if state is None:
                    continue
                # Whole, which is C; into a file it is Python.
                written = json.dumps(
                    {"__ministack_format__": persistence._state_format_version(service), "payload": state},
                    default=persistence._json_default,
                ).encode()
            except Exception:
                persistence.logger.exception("The state of %s cannot be written", service)
                continue
            file = folder / f"{service}.json"
            if file.exists():
                if file.read_bytes() == written:
                    continue
                file.unlink()
            file.write_bytes(written)
            new = True
        return new

    def lead_to(self, folder: Path) -> None:
        link = self.folder / ".now"
        link.unlink(missing_ok=True)
        link.symlink_to(folder.name)
        link.replace(self.now)

    def next(self) -> Path:
        return self.folder / str(time.time_ns())

    def forget_others(self) -> None:
        now = self.now.resolve().name
        for folder in self.folder.iterdir():
            if folder.name.isdigit() and folder.name != now:
                shutil.rmtree(folder, ignore_errors=True)


def wait_for(pid: int) -> int:
    deadline = time.monotonic() + GIVEN_UP_SECONDS
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


if sys.argv[1:] == ["healthcheck"]:
    healthcheck()
    sys.exit()

# Not before: they take a while, and the above needs none of them.
from hypercorn.config import Config  # noqa: E402
from ministack import app  # noqa: E402
from ministack.core import persistence  # noqa: E402

# A long poll is nothing to wait for at a stop.
Config.graceful_timeout = 0.3
snapshots = Snapshots(Path(os.environ["STATE_DIR"]))
persistence.STATE_DIR = str(snapshots.now)
app.save_all = snapshots.write_last
threading.Thread(target=snapshots.take_for_ever, daemon=True).start()
sys.argv = sys.argv[:1]
app.main()
