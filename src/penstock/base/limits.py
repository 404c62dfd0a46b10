"""What bounds Penstock itself: every limit that is not an AWS quota, with its unit and reason.

AWS quotas stand beside the code that applies them, in each service's ``rules.py``.
"""

from __future__ import annotations

# --- the journal
JOURNAL_AGE_MS = 7 * 86_400_000  # events and finished deliveries older than this are pruned
JOURNAL_BYTES = 2 << 30  # and the oldest beyond this much payload
PRUNE_SLICE_ROWS = 500  # rows one pruning transaction may delete, so that it stays under a few milliseconds

RESET_AT_ONCE = 1000  # events, and deliveries, that a reset deletes within its own transaction
RESET_SLICE_ROWS = 200  # and that each transaction deletes afterwards, where there are more

PRUNE_EVERY_MS = 60_000  # machine ms between two looks
ROOM_EVERY_MS = 1000  # machine ms between two looks whether a full disk makes pruning urgent

# --- the relay: deliveries that wait
RELAY_RUNNING = 512  # attempts of targets that run code, at once, over all targets
RELAY_RUNNING_PER_TARGET = 128  # and for one target, so that none starves the others
RELAY_SLICE = 64  # rows taken for one target in one turn
CUT_OFF = 10  # attempts that the server's end cut off and that do not count; more may mean that they end the server
FAULTS = 5  # times that our own code fails over one delivery before that is given up
FAULT_WAIT_MS = 250  # until the second time; doubled for each one after it

# --- advance
ADVANCE_FIRINGS = 1_000_000  # timers fired by one advance before it ends with an error
ADVANCE_REAL_MS = 300_000  # real time one advance may take before it ends with an error
QUIET_REAL_MS = 60_000  # how long a wait for quiet lasts unless the caller says otherwise

# --- the store
GROUP_OPERATIONS = 1024  # operations that may join one commit group
GUARDED_GROUPS = 1000  # groups with a savepoint per operation after one failed late: it may come often from now on
WAL_CHECKPOINT_BYTES = 16 << 20  # the log is checkpointed beyond this size: decisions/the-log-goes-round-at-16-mb.md
WAL_EXTENT_BYTES = 1 << 18  # how much the log's file is made longer at once
WAL_FULL_BYTES = 1 << 30  # and inserts are refused beyond this one, while a reader keeps it from starting anew
WAL_RESERVE_BYTES = 8 << 20  # the log's file is never shorter: deletes are logged there, whatever room the disk has
PAGE_RESERVE_BYTES = 2 << 20  # of the database, kept for deletes and our own bookkeeping when the disk is full
ROOM_BYTES = 8 << 20  # free room, on the disk or within the database, from which on refused inserts are taken again
READER_THREADS = 2  # long reads at once
