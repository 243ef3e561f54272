"""`python -m tests.producers.crm.feed_process`: the contact feed of [crm.crm], settings from the environment."""

import signal
import threading

from producers.crm.feed import run
from streams.runtime import config, logs
from streams.runtime.clock import SystemClock

if __name__ == "__main__":
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    loaded = config.load(None)
    logs.configure(loaded.logs.level, "json")
    run("crm", loaded, SystemClock(), stop)
