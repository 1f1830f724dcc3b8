"""What runs in the next step: a state machine without I/O, clock or model.

A step has a budget of tokens. Running sequences come first, those that decode before those in prefill; then waiting
ones are let in while there are pages for their prompts and places to run. A sequence that needs a page when there is
none evicts what the prefix tree keeps, then preempts the worst of the running: its pages go to the tree, it waits
again, and later computes only what was evicted meanwhile. The first to arrive of the highest priority is never
preempted for others, so somebody always gets on.
"""

from array import array
from collections import Counter
from collections.abc import Sequence as Tokens
from itertools import chain

from hekla.llm.pages import PagePool
from hekla.llm.prefix_tree import PrefixMatch, PrefixTree
from hekla.llm.sequence import Chunk, Plan, Sequence
from hekla.llm.waiting import WaitingQueue
from hekla.protocols.text_engine import RequestId


class Scheduler:
    """Shares pages and steps between requests. `max_mixed_tokens`: of a step in which somebody decodes."""

    def __init__(
        self,
        *,
        pages: int,
        page_tokens: int,
        max_step_tokens: int,
        max_running: int,
        max_mixed_tokens: int | None = None,
    ) -> None:
        assert max_running <= max_step_tokens, "each running sequence must be able to decode in one step"
        self.pool = PagePool(pages)
        self.tree = PrefixTree(self.pool, page_tokens)
        self.page_tokens, self.max_step_tokens, self.max_running = page_tokens, max_step_tokens, max_running
        mixed = max_step_tokens if max_mixed_tokens is None else max_mixed_tokens
        self.max_mixed_tokens = min(max(mixed, max_running), max_step_tokens)
        self.waiting = WaitingQueue()
        self.running: list[Sequence] = []  # by arrival
        self.preemptions = 0
        self.prefix_hits_tokens = 0
        self._live: dict[RequestId, Sequence] = {}
        self._timed: dict[RequestId, Sequence] = {}  # with a deadline
        self._arrivals = 0

    def submit(self, sequence: Sequence) -> None:
        """Queue a request. Its `limit_tokens` must fit into all pages."""
        assert sequence.request_id not in self._live
        assert sequence.limit_tokens <= self.pool.pages * self.page_tokens, "a request that can never end"
        sequence.arrival = self._arrivals
        self._arrivals += 1
        self._live[sequence.request_id] = sequence
        if sequence.deadline_s is not None:
            self._timed[sequence.request_id] = sequence
        self.waiting.enter(sequence.tenant)
        self.waiting.push(sequence)

    def remove(self, request_id: RequestId) -> Sequence | None:
        """Forget a request that ended or was cancelled: its pages are free, or kept for reuse, when this returns."""
        sequence = self._live.pop(request_id, None)
        if sequence is None:
            return None
        self._timed.pop(request_id, None)
        if sequence.node is None:
            self.waiting.remove(sequence)
        else:
            self._stop(sequence)
        self.waiting.leave(sequence.tenant)
        return sequence

    def schedule(self, now_s: float) -> Plan:
        """Decide a step, taking the pages it needs. `advance` must follow for each chunk, before the next call."""
        expired = tuple(s for s in self._timed.values() if s.deadline_s is not None and s.deadline_s <= now_s)
        for sequence in expired:
            self.remove(sequence.request_id)
        chunks: dict[Sequence, Chunk] = {}
        budget = self.max_step_tokens
        ordered = sorted(self.running, key=self._turn)
        if any(sequence.is_decoding for sequence in ordered):
            budget = self.max_mixed_tokens
        for place, sequence in enumerate(ordered):
            if sequence.node is not None and budget:  # it may have been preempted just now
                budget -= self._plan(sequence, budget, len(ordered) - place - 1, chunks)
        copies: list[tuple[int, int]] = []
        while budget and (admitted := self._admit(copies, chunks)) is not None:
            budget -= self._plan(admitted, budget, 0, chunks)
        for chunk in chunks.values():
            self.waiting.charge(chunk.sequence.tenant, chunk.count)
        return Plan(tuple(chunks.values()), tuple(copies), expired)

    def advance(self, chunk: Chunk, new_tokens: Tokens[int] = ()) -> None:
        """Note that a chunk was computed, and the tokens that follow: accepted ones of the draft, then one more."""
        sequence = chunk.sequence
        sequence.computed = chunk.start + chunk.count + max(0, len(new_tokens) - 1)
        sequence.tokens.extend(new_tokens)
        sequence.draft.clear()
        self._keep(sequence)

    def check_integrity(self) -> None:
        """Compare every count of pages with who has them. Errors: EngineError."""
        self.pool.check_integrity(chain.from_iterable(s.pages for s in self.running), self.tree.pages())

    def _turn(self, sequence: Sequence) -> tuple[bool, int, int, int]:
        """Return where a running sequence stands among the others of a step."""
        served = self.waiting.served(sequence.tenant)
        return (not sequence.is_decoding, -sequence.priority, served, sequence.arrival)

    def _plan(self, sequence: Sequence, budget: int, others: int, chunks: dict[Sequence, Chunk]) -> int:
        """Plan a chunk of a running sequence; return its tokens, 0 when it had to be preempted itself.

        Its draft gets no token that one of the `others` after it needs.
        """
        count = min(len(sequence.tokens) - sequence.computed, budget)
        room = min(budget - count - others, sequence.limit_tokens - len(sequence.tokens) - 1)
        drafted = max(0, min(len(sequence.draft), room)) if sequence.computed + count == len(sequence.tokens) else 0
        while len(sequence.pages) * self.page_tokens < sequence.computed + count + drafted:
            if self.pool.free or self.tree.evict():
                sequence.pages.append(self.pool.take())
            elif drafted:
                drafted = 0  # a guess is not worth a preemption
            else:
                victim = self._victim()
                self._preempt(victim, chunks)
                if victim is sequence:
                    return 0
        chunks[sequence] = Chunk(sequence, sequence.computed, count, drafted)
        return count + drafted

    def _victim(self) -> Sequence:
        """Return the worst running sequence: least priority, of the tenant that runs most, the last to arrive."""
        runs = Counter(sequence.tenant for sequence in self.running)
        return max(self.running, key=lambda s: (-s.priority, runs[s.tenant], s.arrival))

    def _admit(self, copies: list[tuple[int, int]], chunks: dict[Sequence, Chunk]) -> Sequence | None:
        """Let the next waiting request run, if there is room."""
        for sequence in self.waiting.in_order():
            match = self.tree.match(sequence.adapter, sequence.tokens)
            if self._is_being_computed(sequence, len(match.nodes)):
                continue  # in a moment the tree has it
            while not self._has_room(sequence, match):
                if not self._make_room(sequence, chunks):
                    return None
                match = self.tree.match(sequence.adapter, sequence.tokens)
            self._start(sequence, match, copies)
            return sequence
        return None

    def _has_room(self, sequence: Sequence, match: PrefixMatch) -> bool:
        """True if there is a place to run, and pages for the whole prompt and one more for everyone who runs."""
        available = self.pool.free + self.pool.reusable - sum(not self.pool.is_held(n.page) for n in match.nodes)
        needed = len(sequence.tokens) // self.page_tokens + 1 - len(match.nodes) + len(self.running)
        return not self.running or (len(self.running) < self.max_running and needed <= available)

    def _make_room(self, sequence: Sequence, chunks: dict[Sequence, Chunk]) -> bool:
        """Preempt one of less priority, or where places lack one of a tenant that runs more; False: there is none."""
        runs = Counter(other.tenant for other in self.running)
        least = runs[sequence.tenant] + 1 if len(self.running) >= self.max_running else self.max_running
        victims = [
            other
            for other in self.running
            if other.priority < sequence.priority
            or (other.priority == sequence.priority and runs[other.tenant] > least)
        ]
        if not victims:
            return False
        self._preempt(max(victims, key=lambda s: (-s.priority, runs[s.tenant], s.arrival)), chunks)
        return True

    def _start(self, sequence: Sequence, match: PrefixMatch, copies: list[tuple[int, int]]) -> None:
        """Run a request on what the tree has of its prompt."""
        self.waiting.remove(sequence)
        self.running.append(sequence)
        sequence.pages = array("i", [node.page for node in match.nodes])
        sequence.kept_pages = len(match.nodes)
        sequence.node = match.nodes[-1] if match.nodes else self.tree.root(sequence.adapter)
        sequence.computed = len(match.nodes) * self.page_tokens
        for page in sequence.pages:
            self.pool.hold(page)
        if match.partial is not None and (self.pool.free or self.tree.evict()):
            sequence.pages.append(self.pool.take())
            sequence.computed += match.partial_tokens
            # Evicting may have given the very page; nothing is written to it before the copies of this plan are made.
            copies.append((match.partial.page, sequence.pages[-1]))
        if sequence.cached_tokens is None:
            sequence.cached_tokens = sequence.computed
            self.prefix_hits_tokens += sequence.computed

    def _is_being_computed(self, sequence: Sequence, blocks: int) -> bool:
        """True if a running sequence is about to compute the block after those that the tree has."""
        end = (blocks + 1) * self.page_tokens
        if end >= len(sequence.tokens):
            return False
        return any(
            other.adapter == sequence.adapter and other.computed < end and other.tokens[:end] == sequence.tokens[:end]
            for other in self.running
        )

    def _preempt(self, sequence: Sequence, chunks: dict[Sequence, Chunk]) -> None:
        chunks.pop(sequence, None)
        self.preemptions += 1
        self._stop(sequence)
        self.waiting.push(sequence)

    def _stop(self, sequence: Sequence) -> None:
        """Give up the pages of a running sequence; what is computed stays in the tree."""
        assert sequence.node is not None, "it does not run"
        self._keep(sequence)
        first = sequence.kept_pages * self.page_tokens
        if first < sequence.computed:
            tail = tuple(sequence.tokens[first : sequence.computed])
            self.tree.touch(self.tree.extend(sequence.node, tail, sequence.pages[sequence.kept_pages]))
        self.tree.touch(sequence.node)
        for page in sequence.pages:
            self.pool.release(page)
        self.running.remove(sequence)
        sequence.pages, sequence.node, sequence.kept_pages, sequence.computed = array("i"), None, 0, 0
        sequence.draft.clear()

    def _keep(self, sequence: Sequence) -> None:
        """Put the pages that became whole into the tree, and use those that it had of the same tokens."""
        assert sequence.node is not None, "it does not run"
        while (sequence.kept_pages + 1) * self.page_tokens <= sequence.computed:
            place = sequence.kept_pages
            first = place * self.page_tokens
            block = tuple(sequence.tokens[first : first + self.page_tokens])
            sequence.node = self.tree.extend(sequence.node, block, sequence.pages[place])
            if sequence.node.page != sequence.pages[place]:
                self.pool.hold(sequence.node.page)
                self.pool.release(sequence.pages[place])
                sequence.pages[place] = sequence.node.page
            sequence.kept_pages += 1
