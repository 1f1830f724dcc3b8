"""Who owns, who borrows, and for how long: decided here, at no cost while running.

Three rules, after Rust's (non-lexical lifetimes, RFC 2094), made small by what the language leaves out: views
are never stored in memory, so a borrower is always a local variable.

1. An owner (Buffer) is used while it owns. It moves when assigned, passed or returned; it is freed where its
   block ends, on every way out. Where only one branch moves it, the other frees it at its own end.
2. A view is not used after the memory it looks at is gone, and no view of a local is returned.
3. While a writing view is alive (used again later), nobody else touches its memory; while a reading view is
   alive, nobody writes it. A view made from another may be used while its parent waits.

A region is a path: the root variable, then for `split` the half. Two regions meet when one begins the other.
"""

from hekla.lang import hir
from hekla.lang.front.borrows import Borrows
from hekla.lang.front.loans import Loans
from hekla.lang.front.owners import Owners


def check_ownership(instance: hir.Instance) -> None:
    """Check one kernel, and add the `Drop`s that end its owners' lives. Errors: OwnershipError."""
    Owners(instance).run()
    Borrows(instance, Loans(instance)).run()
