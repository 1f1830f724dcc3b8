"""The queue of a batcher against a plain list."""

from hypothesis import given, settings
from hypothesis import strategies as st

from hekla.serve.execution.waiting import WaitingRoom
from hekla.serve.execution.work import Work


class PlainRoom:
    """The same queue as one list, in order of arrival."""

    def __init__(self) -> None:
        self.works: list[Work] = []

    def oldest(self) -> Work | None:
        """The best priority's first."""
        return min(self.works, key=lambda work: (work.priority, work.arrived_s), default=None)

    def take(self, key: object, places: int) -> list[Work]:
        """By priority, then arrival, until one does not fit."""
        taken: list[Work] = []
        for work in sorted((w for w in self.works if w.key == key), key=lambda w: (w.priority, w.arrived_s)):
            if taken and places < max(work.rows, 1):
                break
            taken.append(work)
            places -= max(work.rows, 1)
            if places <= 0:
                break
        self.works = [work for work in self.works if work not in taken]
        return taken


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(1, 3), st.integers(0, 2), st.integers(0, 3)),
        st.tuples(st.just("take"), st.integers(1, 6), st.booleans(), st.just(0)),
        st.tuples(st.just("leave"), st.integers(0, 99), st.just(0), st.just(0)),
        st.tuples(st.just("drain"), st.just(0), st.just(0), st.just(0)),
    ),
    max_size=80,
)


@settings(deadline=None)
@given(STEPS)
def test_a_waiting_room_is_a_list_sorted_by_priority_and_age(steps: list[tuple[str, int, int, int]]) -> None:
    room, plain = WaitingRoom(), PlainRoom()
    for number, (what, a, b, c) in enumerate(steps):
        if what == "add":
            work = Work({}, (), c, b, (), a, float(number), None, lambda work, told: None)
            room.add(work)
            plain.works.append(work)
        elif what == "take" and plain.works:
            oldest = plain.oldest()
            assert room.oldest() is oldest
            assert oldest is not None
            key = oldest.key if b else plain.works[-1].key
            assert room.take(key, a) == plain.take(key, a)
        elif what == "leave" and plain.works:
            gone = plain.works.pop(a % len(plain.works))
            gone.close()
            room.left(gone)
        elif what == "drain":
            assert sorted(map(id, room.drain())) == sorted(map(id, plain.works))
            plain.works.clear()
        assert room.oldest() is plain.oldest()
        assert room.count == len(plain.works)
        assert room.places == sum(max(work.rows, 1) for work in plain.works)
        for key in range(3):
            assert room.places_like(key) == sum(max(w.rows, 1) for w in plain.works if w.key == key)
        assert set(room.groups()) >= {work.key for work in plain.works}
