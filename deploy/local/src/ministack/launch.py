"""Runs ministack until standard input ends.

Whoever started this process holds the other end of its standard input and never writes to it. The end comes when that
process ends, however it ends, SIGKILL included: so no ministack is ever left behind, and one with a state directory
still gets to write its state. One without takes its folder along.
"""

import copy
import functools
import os
import shutil
import signal
import sys
import threading
import time

# Longer than the server gives to answers under way, shorter than its starter waits before it kills.
CLEAN_STOP_SECONDS = 8


def end_with_starter() -> None:
    while os.read(0, 4096):
        pass
    if os.environ.get("PERSIST_STATE") == "1":
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(CLEAN_STOP_SECONDS)
    else:
        shutil.rmtree(os.environ["STATE_DIR"], ignore_errors=True)
    os._exit(0)


threading.Thread(target=end_with_starter, daemon=True).start()

# After the thread: these imports take a while, and the starter may end meanwhile.
import yaml  # noqa: E402
from hypercorn.config import Config  # noqa: E402
from ministack.app import main  # noqa: E402

# A long poll is nothing to wait for: whoever asked has been stopped by now.
Config.graceful_timeout = 0.3

# Tests create the same few stacks hundreds of times, and parsing a template takes longer than making its resources.
parse_once = functools.lru_cache(maxsize=16)(yaml.load)
yaml.load = lambda stream, Loader: copy.deepcopy(parse_once(stream, Loader))  # noqa: N803

# A terminal's Ctrl-C reaches the whole foreground group; when to stop is the starter's to say.
signal.signal(signal.SIGINT, signal.SIG_IGN)
sys.argv = sys.argv[:1]
main()
