"""Conformance kit: any text engine, ours or a stranger's, can be held to the promises of `TextEngine`.

    check_text_engine(lambda: load(source), "Once upon a time, in a small village")

Give a prompt of a few dozen tokens, and an engine that runs at least four requests at a time.
"""

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from hekla.base.errors import ConflictError, HeklaError, InputError, NotFoundError, TooLargeError
from hekla.protocols.text_engine import RequestId, Sampling, TextEngine, TextRequest, TokenEvent

MOST_STEPS = 10_000
GREEDY = Sampling(temperature=0)


@dataclass(frozen=True, slots=True)
class TextCase:
    """An engine, and what it is asked."""

    make_engine: Callable[[], TextEngine]
    prompt: tuple[int, ...]


@dataclass(slots=True)
class Told:
    """What an engine told of one request."""

    tokens: list[int] = field(default_factory=list)
    text: str = ""
    reason: str = ""
    events: list[TokenEvent] = field(default_factory=list)


def check_text_engine(make_engine: Callable[[], TextEngine], prompt: str) -> None:
    """Raise AssertionError unless the engine keeps its promises."""
    for promise in TEXT_PROMISES:
        engine = make_engine()
        try:
            promise(engine, TextCase(make_engine, engine.encode(prompt, is_special=True)))
        finally:
            engine.close()


def run(engine: TextEngine, *requests: TextRequest) -> dict[int, Told]:
    """Submit requests, step until nothing is left, and return what came for each."""
    told = {int(request.request_id): Told() for request in requests}
    for request in requests:
        engine.submit(request)
    for _ in range(MOST_STEPS):
        if not engine.has_work:
            break
        _take(told, engine.step())
    else:
        raise AssertionError(f"{MOST_STEPS} steps, and the engine still has work")
    unfinished = [number for number, one in told.items() if not one.reason]
    assert not unfinished, f"the engine has no work left, and requests {unfinished} have no end"
    return told


def check_text_and_tokens(engine: TextEngine, case: TextCase) -> None:
    """Text survives encoding; control tokens come from no ordinary text; what is known of the model does not change."""
    info = engine.info
    for text in ("plain", "two words", "größer, 你好, €", "line\nline", ""):
        tokens = engine.encode(text)
        assert engine.decode(tokens).strip(" ") == text, f"{text!r} came back as {engine.decode(tokens)!r}"
        assert all(0 <= token < info.vocabulary_tokens for token in tokens), "a token out of range"
        assert b"".join(map(engine.token_bytes, tokens)).decode().strip(" ") == text, "bytes of tokens are not the text"
    run(engine, TextRequest(RequestId(1), case.prompt, 3))
    assert engine.info == info, "what is told of the model changed"
    _refuses(lambda: engine.decode([info.vocabulary_tokens]), InputError, "a token out of range must be an InputError")


def check_events(engine: TextEngine, case: TextCase) -> None:
    """Each request ends once, within its limits, and its text comes whole and in order."""
    lengths = (1, 2, 9)
    requests = [_ask(case, number, max_tokens=number, ignore_end=True) for number in lengths]
    told = run(engine, *requests)
    for number in lengths:
        one = told[number]
        assert (len(one.tokens), one.reason) == (number, "length"), f"asked for {number} tokens: {one}"
        last = one.events[-1]
        assert all(event.cached_tokens == 0 for event in one.events[1:]), "cached tokens are told with the first event"
        assert 0 <= one.events[0].cached_tokens < len(case.prompt), "a whole prompt cannot be cached"
        assert last.error is None, "an error where nothing failed"
        assert "".join(event.text for event in one.events) == one.text
    assert not engine.step(), "a step without work must bring nothing"


def check_equal_seeds(engine: TextEngine, case: TextCase) -> None:
    """Equal seeds give equal answers, here and in a second engine; at temperature 0 the seed does not matter."""
    asked = [_ask(case, number, sampling=Sampling(seed=5)) for number in (1, 2)]
    cold = [_ask(case, number, sampling=replace(GREEDY, seed=number)) for number in (3, 4)]
    told = run(engine, *asked, *cold)
    assert told[1].tokens == told[2].tokens, "equal seeds must give equal answers"
    assert told[3].tokens == told[4].tokens, "at temperature 0 the seed must not matter"
    second = case.make_engine()
    try:
        again = run(second, asked[0])
    finally:
        second.close()
    assert again[1].tokens == told[1].tokens, "a second engine must give equal answers"
    warm = run(engine, *(_ask(case, number, sampling=Sampling(temperature=1.5, seed=number)) for number in range(8)))
    assert len({tuple(one.tokens) for one in warm.values()}) > 1, "eight seeds gave one answer"


def check_crowds(engine: TextEngine, case: TextCase) -> None:
    """The same request alone and among others, earlier and later ones, gives the same tokens."""
    crowd = [
        _ask(case, number, prompt=case.prompt[: 1 + number * 3 % len(case.prompt)], sampling=Sampling(seed=number))
        for number in range(7)
    ]
    alone = {}
    for request in crowd:
        other = case.make_engine()
        try:
            alone.update(run(other, request))
        finally:
            other.close()
    told = run(engine, *crowd)
    again = run(engine, *(replace(request, request_id=RequestId(100 + request.request_id)) for request in crowd))
    for number in range(7):
        assert told[number].tokens == alone[number].tokens, f"a crowd changed request {number}"
        assert again[100 + number].tokens == alone[number].tokens, f"what came before changed request {number}"
        assert again[100 + number].text == alone[number].text, f"what came before changed the text of {number}"


def check_stops(engine: TextEngine, case: TextCase) -> None:
    """A stop text ends the answer and is not part of it; so does a stop token; nothing comes after the end."""
    asked = _ask(case, 1, max_tokens=24, ignore_end=True, sampling=Sampling(seed=1))
    whole = run(engine, asked)[1]
    assert len(whole.text) > 6, "give the kit an engine that writes more text"
    stop = whole.text[3:5]
    told = run(engine, replace(asked, request_id=RequestId(2), stop=("\x00never\x00", stop)))[2]
    assert told.text == whole.text[: whole.text.index(stop)], f"stopped at {stop!r}: {told.text!r} of {whole.text!r}"
    assert told.reason == "stop"
    token = whole.tokens[4]
    told = run(engine, replace(asked, request_id=RequestId(3), stop_tokens=frozenset({token})))[3]
    assert told.tokens == whole.tokens[: whole.tokens.index(token) + 1], "a stop token must end the answer"
    assert told.reason == "stop"
    assert whole.text.startswith(told.text), "the text before a stop token must be the same"


def check_cancelling(engine: TextEngine, case: TextCase) -> None:
    """A cancelled request frees its pages before `cancel` returns, brings no event, and disturbs nobody."""
    expected = run(engine, _ask(case, 1))[1].tokens
    for number in (2, 3, 4):
        engine.submit(_ask(case, number))
    engine.cancel(RequestId(4))
    told = {number: Told() for number in (2, 3)}
    _take(told, engine.step())
    engine.cancel(RequestId(2))
    engine.cancel(RequestId(2))
    engine.cancel(RequestId(77))
    told.pop(2)
    while engine.has_work:
        _take(told, engine.step())
    assert told[3].tokens == expected, "a cancelled neighbour changed the answer"
    engine.submit(_ask(case, 5))
    engine.step()
    engine.cancel(RequestId(5))
    assert not engine.has_work, "work is left after the last request was cancelled"
    _is_empty(engine)
    assert run(engine, _ask(case, 5))[5].tokens == expected, "an id must be free again after its request"


def check_accounts(engine: TextEngine, case: TextCase) -> None:
    """The status counts what runs and what is free, and after the last request all pages are."""
    before = engine.status()
    assert before.running == before.waiting == 0
    _is_empty(engine)
    engine.submit(_ask(case, 1, max_tokens=6, ignore_end=True))
    assert engine.status().running + engine.status().waiting == 1
    engine.step()
    status = engine.status()
    assert status.running == 1
    held = -(-len(case.prompt) // status.page_tokens)
    assert status.pages - status.free_pages <= held + 1, "more pages are held than the prompt and a token need"
    while engine.has_work:
        engine.step()
    _is_empty(engine)
    after = engine.status()
    assert after.prompt_tokens - before.prompt_tokens == len(case.prompt), "prompt tokens are not counted"
    assert after.answer_tokens - before.answer_tokens == 6, "answer tokens are not counted"


def check_deadlines(engine: TextEngine, case: TextCase) -> None:
    """A deadline that has passed ends a request without a token, and nobody else's."""
    told = run(engine, _ask(case, 1, deadline_s=1e-9), _ask(case, 2))
    assert (told[1].tokens, told[1].reason) == ([], "deadline")
    assert told[2].reason in ("stop", "length")


def check_refusals(engine: TextEngine, case: TextCase) -> None:
    """What cannot be done is refused with its error, by `check` and by `submit`, and changes nothing."""
    expected = run(engine, _ask(case, 1))[1].tokens
    context = engine.info.context_tokens
    wrong: list[tuple[TextRequest, type[HeklaError], str]] = [
        (_ask(case, 2, prompt=case.prompt[:1] * (context + 1)), TooLargeError, "a prompt longer than the context"),
        (_ask(case, 2, prompt=()), InputError, "an empty prompt"),
        (_ask(case, 2, prompt=(engine.info.vocabulary_tokens,)), InputError, "a token out of range"),
        (_ask(case, 2, adapter="no such adapter"), NotFoundError, "an adapter that is not loaded"),
    ]
    for request, error, what in wrong:
        _refuses(functools.partial(engine.check, request), error, f"{what} must be {error.__name__}")
        _refuses(functools.partial(engine.submit, request), error, f"{what} must be {error.__name__}")
    too_long = case.prompt[:1] * (context + 1)
    told = _refusal(lambda: engine.check(_ask(case, 2, prompt=too_long)))
    assert str(len(too_long)) in told, f"the prompt's length is not told: {told}"
    _refuses(
        lambda: engine.unload_adapter("no such adapter"), NotFoundError, "an unknown adapter must be NotFoundError"
    )
    engine.submit(_ask(case, 3))
    _refuses(lambda: engine.submit(_ask(case, 3)), ConflictError, "an id in use must be a ConflictError")
    engine.cancel(RequestId(3))
    assert not engine.has_work, "a refused request left work behind"
    assert run(engine, _ask(case, 4))[4].tokens == expected, "refusals changed an answer"


def check_logprobs(engine: TextEngine, case: TextCase) -> None:
    """Logarithms of probabilities come with each token when asked for, likeliest first."""
    told = run(engine, _ask(case, 1, sampling=replace(GREEDY, logprobs=4)), _ask(case, 2))
    for event in told[1].events:
        if event.token is None:
            continue
        assert event.logprob is not None, "no logprob where one was asked for"
        assert event.logprob <= 1e-6, "a probability above one"
        values = [one.logprob for one in event.top_logprobs]
        assert len(values) == 4, "not as many of the likeliest as were asked for"
        assert values == sorted(values, reverse=True), "the likeliest are not in order"
        assert event.top_logprobs[0].token == event.token or values[0] <= event.logprob + 1e-6, "not the likeliest"
    assert all(event.logprob is None and not event.top_logprobs for event in told[2].events), "logprobs unasked for"


def check_timing(engine: TextEngine, case: TextCase) -> None:
    """Times come with each token of a request that asks, and are not negative."""
    told = run(engine, _ask(case, 1, is_timed=True), _ask(case, 2))
    for event in told[1].events:
        assert event.token is None or event.times is not None, "a token without times"
        if event.times is not None:
            times = event.times
            parts = (times.queue_s, times.prefill_s, times.decode_s, times.sample_s, times.detokenise_s)
            assert min(parts) >= 0, "a time below zero"
    assert all(event.times is None for event in told[2].events), "times unasked for"


def check_closing(engine: TextEngine, case: TextCase) -> None:
    """Closing forgets what runs; twice is once; a closed engine refuses."""
    engine.submit(_ask(case, 1))
    engine.step()
    engine.close()
    engine.close()

    def ask() -> None:
        engine.submit(_ask(case, 2))
        engine.step()

    _refuses(ask, HeklaError, "a closed engine must refuse to work")


TEXT_PROMISES: tuple[Callable[[TextEngine, TextCase], None], ...] = (
    check_text_and_tokens,
    check_events,
    check_equal_seeds,
    check_crowds,
    check_stops,
    check_cancelling,
    check_accounts,
    check_deadlines,
    check_refusals,
    check_logprobs,
    check_timing,
    check_closing,
)


def _ask(
    case: TextCase,
    number: int,
    *,
    prompt: tuple[int, ...] | None = None,
    max_tokens: int = 8,
    sampling: Sampling = GREEDY,
    ignore_end: bool = False,
    adapter: str = "",
    deadline_s: float | None = None,
    is_timed: bool = False,
) -> TextRequest:
    return TextRequest(
        RequestId(number),
        case.prompt if prompt is None else prompt,
        max_tokens,
        sampling,
        ignore_end=ignore_end,
        adapter=adapter,
        deadline_s=deadline_s,
        is_timed=is_timed,
    )


def _take(told: dict[int, Told], events: Iterable[TokenEvent]) -> None:
    for event in events:
        number = int(event.request_id)
        assert number in told, f"an event for request {number}, which was cancelled or never asked"
        one = told[number]
        assert not one.reason, f"an event for request {number} after its end"
        assert event.token is not None or event.finish_reason is not None, "an event without a token or an end"
        if event.token is not None:
            one.tokens.append(event.token)
        one.text += event.text
        one.reason = event.finish_reason or ""
        one.events.append(event)


def _is_empty(engine: TextEngine) -> None:
    engine.tidy()
    status = engine.status()
    assert status.free_pages == status.pages, f"{status.pages - status.free_pages} pages are held by nobody"


def _refuses(call: Callable[[], object], error: type[HeklaError], promise: str) -> None:
    try:
        call()
    except error:
        return
    except Exception as other:
        raise AssertionError(f"{promise}, raised {type(other).__name__}: {other}") from other
    raise AssertionError(f"{promise}, and nothing was raised")


def _refusal(call: Callable[[], object]) -> str:
    try:
        call()
    except HeklaError as error:
        return str(error)
    return ""
