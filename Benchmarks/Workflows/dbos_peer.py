"""Five-step workflows with DBOS: dbos_peer.py STORE WORKERS SECONDS, as workflow-bench does it.

STORE is a SQLAlchemy URL: sqlite:///FILE or postgresql://USER@HOST:PORT/DATABASE.
"""

import json
import logging
import sqlite3
import sys
import threading
import time

from dbos import DBOS

store, workers, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
if store.startswith("sqlite:///"):
    # DBOS leaves SQLite in journal mode delete, which is slower. The mode is kept in the file.
    sqlite3.connect(store.removeprefix("sqlite:///")).execute("PRAGMA journal_mode = WAL").connection.close()
DBOS(config={"name": "bench", "system_database_url": store, "log_level": "ERROR", "run_admin_server": False})
logging.getLogger("dbos").setLevel(logging.ERROR)


@DBOS.step()
def add(total: int, number: int) -> int:
    return total + number


@DBOS.workflow()
def five(total: int) -> int:
    for number in range(1, 6):
        total = add(total, number)
    return total


def measure(duration: float) -> list[float]:
    end = time.monotonic() + duration
    took: list[list[float]] = [[] for _ in range(workers)]

    def work(mine: list[float]) -> None:
        while time.monotonic() < end:
            began = time.monotonic()
            assert five(1) == 16
            mine.append(time.monotonic() - began)

    threads = [threading.Thread(target=work, args=(mine,)) for mine in took]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(one for mine in took for one in mine)


DBOS.launch()
measure(1)
sorted_ms = [one * 1000 for one in measure(seconds)]


def percentile(part: float) -> float:
    return round(sorted_ms[min(len(sorted_ms) - 1, int(len(sorted_ms) * part))], 1)


print(json.dumps({"per_second": len(sorted_ms) // seconds, "p50_ms": percentile(0.5), "p99_ms": percentile(0.99)}))
DBOS.destroy()
