"""What a `hekla` command's exit status means."""

import enum


class Exit(enum.IntEnum):
    """Exit statuses, for scripts. 2 is the argument parser's own."""

    OK = 0
    FAILED = 1  # the command was understood and could not be done; the message says why
    USAGE = 2  # an unknown command or option, or a value of the wrong kind
    UNREACHABLE = 3  # no server answers at the URL
    BUG = 70  # a fault in hekla itself: run again with --debug
    INTERRUPTED = 130  # Ctrl-C
