"""Who holds which page of the KV cache.

A page is free, held by one or more sequences, kept by the prefix tree, or both held and kept. Only a sequence that
alone holds a page writes to it, and never at a position that the tree or another sequence knows: sharing needs no
copy until a sequence would write into a shared page, and then it copies (`PrefixMatch.partial`).
"""

from collections.abc import Iterable
from itertools import repeat

from hekla.base.errors import EngineError


class PagePool:
    """Counts holders; knows nothing of what a page contains."""

    def __init__(self, pages: int) -> None:
        self.pages = pages
        self._free = list(range(pages - 1, -1, -1))
        self._holders = [0] * pages
        self._kept = bytearray(pages)
        self._reusable = 0

    @property
    def free(self) -> int:
        """Pages that nothing uses."""
        return len(self._free)

    @property
    def reusable(self) -> int:
        """Pages that only the tree keeps."""
        return self._reusable

    def take(self) -> int:
        """Return a free page, held once. The caller has asked `free` first."""
        page = self._free.pop()
        self._holders[page] = 1
        return page

    def hold(self, page: int) -> None:
        """Hold a kept or held page once more."""
        assert self._holders[page] or self._kept[page], f"page {page} is free"
        if not self._holders[page]:
            self._reusable -= 1
        self._holders[page] += 1

    def release(self, page: int) -> None:
        """Undo one `take` or `hold`."""
        assert self._holders[page], f"page {page} is not held"
        self._holders[page] -= 1
        if not self._holders[page]:
            if self._kept[page]:
                self._reusable += 1
            else:
                self._free.append(page)

    def keep(self, page: int) -> None:
        """Keep a page that is held, for later sequences."""
        assert self._holders[page], f"page {page} is not held"
        assert not self._kept[page], f"page {page} is kept already"
        self._kept[page] = 1

    def forget(self, page: int) -> None:
        """Undo `keep`."""
        assert self._kept[page], f"page {page} is not kept"
        self._kept[page] = 0
        if not self._holders[page]:
            self._reusable -= 1
            self._free.append(page)

    def is_held(self, page: int) -> bool:
        """True if a sequence holds the page."""
        return self._holders[page] > 0

    def check_integrity(self, held: Iterable[int], kept: Iterable[int]) -> None:
        """Compare with what the sequences (once for each hold) and the tree say. Errors: EngineError."""
        holders, keeps = list(repeat(0, self.pages)), bytearray(self.pages)
        for page in held:
            holders[page] += 1
        for page in kept:
            if keeps[page]:
                raise EngineError(f"page {page} stands twice in the prefix tree")
            keeps[page] = 1
        free = set(self._free)
        if len(free) != len(self._free):
            raise EngineError("a page is free twice")
        for page in range(self.pages):
            found = (self._holders[page], self._kept[page], page in free)
            if found != (holders[page], keeps[page], not holders[page] and not keeps[page]):
                raise EngineError(
                    f"page {page}: (holders, kept, free) are {found}, but {holders[page]} sequences hold it and "
                    f"{keeps[page]} nodes keep it"
                )
        if self._reusable != sum(keeps[page] and not holders[page] for page in range(self.pages)):
            raise EngineError(f"{self._reusable} pages are counted as reusable, and are not")
