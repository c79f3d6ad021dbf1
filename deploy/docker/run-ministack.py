"""Runs ministack in a container, and writes its state down every few seconds; `healthcheck` asks one that runs.

It writes its state by itself at a clean stop only, so that one that is killed would come back without tables, queues and
users. With this it comes back as it was a moment ago: what was answered in that moment is lost, as it never is on AWS.
"""

import os
import sys
import threading
import time
import urllib.request

PORT = os.environ["GATEWAY_PORT"]
SNAPSHOT_SECONDS = float(os.environ.get("SNAPSHOT_SECONDS", "2"))


def healthcheck() -> None:
    """Any failure is told by the exit status."""
    urllib.request.urlopen(f"http://127.0.0.1:{PORT}/_ministack/health", timeout=5)


def snapshots() -> None:
    """Between two requests, so that what one request changes is there whole or not at all."""
    while True:
        time.sleep(SNAPSHOT_SECONDS)
        if app._MAIN_LOOP is not None:
            written = threading.Event()
            app._MAIN_LOOP.call_soon_threadsafe(snapshot, written)
            written.wait()


def snapshot(written: threading.Event) -> None:
    try:
        # Each service's file is replaced whole; what fails is said in the log.
        save_all(app._build_persistence_save_dict())
    finally:
        written.set()


if sys.argv[1:] == ["healthcheck"]:
    healthcheck()
    sys.exit()

# Not before: they take a while, and the above needs none of them.
from hypercorn.config import Config  # noqa: E402
from ministack import app  # noqa: E402
from ministack.core.persistence import save_all  # noqa: E402

# A long poll is nothing to wait for at a stop.
Config.graceful_timeout = 0.3
threading.Thread(target=snapshots, daemon=True).start()
sys.argv = sys.argv[:1]
app.main()
