"""The one table of statuses."""

import grpc
import pytest

from hekla.base import errors
from hekla.base.errors import HeklaError, InputError, OverloadedError, ShapeError, TooLargeError
from hekla.serve.status import _TABLE, Status, status_of


def every_error() -> list[type[HeklaError]]:
    return [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, HeklaError)]


@pytest.mark.parametrize("kind", every_error())
def test_every_error_of_the_tree_is_told_by_itself_or_as_an_input_error(kind: type[HeklaError]) -> None:
    assert kind in _TABLE or issubclass(kind, InputError)


@pytest.mark.parametrize("status", _TABLE.values())
def test_names_and_numbers_of_grpc_codes_agree(status: Status) -> None:
    assert grpc.StatusCode[status.grpc].value[0] == status.grpc_code


def test_the_nearest_class_decides() -> None:
    assert status_of(ShapeError("$.x", expected="(1)", got=(2,))).http == 400
    assert status_of(TooLargeError("body", limit="1 MiB", got="2 MiB")).http == 413
    assert status_of(OverloadedError("full", retry_after_s=1.0)).grpc == "RESOURCE_EXHAUSTED"
