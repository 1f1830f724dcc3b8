"""`hekla infer`: ask a model something and see the answer as a person would want it."""

from typing import TYPE_CHECKING, Annotated

import typer

from hekla.cli.options import DEFAULT_URL, Url
from hekla.cli.screen import AsJson, write_json

if TYPE_CHECKING:
    from hekla.cli.client import ServerClient
    from hekla.cli.infer_input import Given
    from hekla.protocols.tensor import TensorSpec

Model = Annotated[str, typer.Argument(help="The model's name; see `hekla models list`.", show_default=False)]
Inputs = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT...", help="Files, text, JSON, or - for standard input; several to compare or to ask in turn."
    ),
]
IsText = Annotated[bool, typer.Option("--text", help="The inputs are text even where they look like file names.")]
Shape = Annotated[str, typer.Option("--shape", help="The shape of raw bytes: 1,3,224,224.", show_default=False)]
ModelVersion = Annotated[str, typer.Option("--version", help="A version; the newest if left out.", show_default=False)]


def infer(
    model: Model,
    inputs: Inputs,
    text: IsText = False,
    shape: Shape = "",
    version: ModelVersion = "",
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Ask a model something: an image, audio, text, any file, or tensors.

    What is sent follows from the model: images, text and files as they are, a WAV file window by window as one
    sequence, tensors from .npy, .npz, .json or raw bytes. A language model answers, as it does in `hekla chat`.

    Examples:

        hekla infer ocr receipt.jpg

        hekla infer embed "a cat" "a kitten"

        hekla infer vad speech.wav

        hekla infer file-type unknown.bin --json

        hekla infer my-model tensors.npz

        echo "[[1, 2, 3]]" | hekla infer my-model -
    """
    from hekla.cli.client import ServerClient
    from hekla.cli.infer_input import read_given, specs_of

    given = [read_given(argument, is_text=text) for argument in inputs]
    with ServerClient(url) as client:
        metadata = client.metadata(model, version)
        parameters = metadata.get("parameters")
        task = str(parameters.get("task", "")) if isinstance(parameters, dict) else ""
        specs = specs_of(metadata)
        if task in ("chat", "completion"):
            from hekla.cli.infer_text import write_texts

            write_texts(client, model, task, given, as_json=as_json)
        elif task == "vad":
            _listen(client, model, version, given, specs, as_json)
        else:
            _ask(client, model, version, given, specs, task, shape, as_json)


def _listen(
    client: "ServerClient",
    model: str,
    version: str,
    given: "list[Given]",
    specs: "list[TensorSpec]",
    as_json: bool,
) -> None:
    from hekla.cli.infer_show import heard_document, show_heard
    from hekla.cli.infer_vad import listen

    documents = []
    for item in given:
        heard = listen(client, model, version, item, specs)
        documents.append(heard_document(heard, model))
        if not as_json:
            show_heard(heard, model)
    if as_json:
        write_json(documents if len(documents) > 1 else documents[0])


def _ask(
    client: "ServerClient",
    model: str,
    version: str,
    given: "list[Given]",
    specs: "list[TensorSpec]",
    task: str,
    shape: str,
    as_json: bool,
) -> None:
    from hekla.cli.infer_input import takes_one_element, tensors_of
    from hekla.cli.infer_show import answer_document, show_answer

    documents = []
    for together in [[item] for item in given] if takes_one_element(specs) else [given]:
        answer = client.infer(model, tensors_of(together, specs, task, shape), version=version)
        documents.append(answer_document(answer, task))
        if not as_json:
            names = [item.name or item.content[:200].decode(errors="replace") for item in together]
            show_answer(answer, task, names)
    if as_json:
        write_json(documents if len(documents) > 1 else documents[0])
