"""Any engine in a process of its own: what it does to itself, it does not do to the server.

the server's process                                   the worker's process
engine ── control: a socket pair, messages ──────────▶ worker ── the inner engine
  │  └─── cancel: a pipe, numbers of runs ───────────▶ a thread that stops the inner run
  ├────── requests: shared memory, tensors ──────────▶ read-only views
  └◀───── replies: shared memory, tensors ──────────── copied out
child: a thread that starts the worker, waits for it and tells the engine
"""
