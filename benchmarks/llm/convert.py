"""A GGUF file as each peer wants it: dequantised for transformers, from that int4 ONNX and int8 CTranslate2.

    PYTHONPATH=src:tools CONVERT/bin/python -m benchmarks.llm.convert MODEL.gguf FOLDER

CONVERT is an environment with requirements-convert.txt. Makes FOLDER/hf, FOLDER/genai, FOLDER/ct2; what is there stays.
"""

import json
import subprocess
import sys
from pathlib import Path

import torch  # type: ignore[import-not-found]  # of the environment this runs in
import transformers  # type: ignore[import-not-found]  # of the environment this runs in
from make_llm_vectors import config_of, state_of  # type: ignore[import-not-found]  # on the path this runs with

from hekla.llm.model_file import open_model


def make_hf(source: Path, target: Path) -> None:
    """Write the dequantised model as transformers keeps models."""
    file = open_model(source)
    kind = {"llama": transformers.LlamaForCausalLM, "gemma3": transformers.Gemma3ForCausalLM}[file.config.family]
    config = config_of(file.config)
    config.eos_token_id = sorted(file.config.end_tokens)
    config.bos_token_id = file.config.begin_token
    model = kind(config).to(torch.float32).eval()
    model.load_state_dict(state_of(file), strict=False)
    model.save_pretrained(target)
    transformers.AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name).save_pretrained(target)


def with_older_config(hf: Path, target: Path) -> Path:
    """Return a folder like this one, with rotary settings where the ONNX builder looks for them."""
    target.mkdir(exist_ok=True)
    for path in hf.iterdir():
        link = target / path.name
        if not link.exists() and path.name != "config.json":
            link.symlink_to(path)
    config = json.loads((hf / "config.json").read_text())
    rotary = config["rope_parameters"]
    if "full_attention" in rotary:
        config["rope_local_base_freq"] = rotary["sliding_attention"]["rope_theta"]
        rotary = config["rope_parameters"] = rotary["full_attention"]
    config["rope_theta"] = rotary["rope_theta"]
    (target / "config.json").write_text(json.dumps(config))
    return target


def main() -> None:
    source, folder = Path(sys.argv[1]), Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    hf = folder / "hf"
    if not hf.exists():
        make_hf(source, hf)
    if not (folder / "ct2").exists():
        converter = Path(sys.executable).parent / "ct2-transformers-converter"
        command = [converter, "--model", hf, "--output_dir", folder / "ct2", "--quantization", "int8"]
        subprocess.run([str(part) for part in command], check=True)
    if not (folder / "genai").exists():
        older = with_older_config(hf, folder / "hf-older")
        builder = [sys.executable, "-m", "onnxruntime_genai.models.builder", "-i", older, "-o", folder / "genai"]
        options = ["-p", "int4", "-e", "cpu", "-c", folder / "cache", "--extra_options", "int4_accuracy_level=4"]
        subprocess.run([str(part) for part in [*builder, *options]], check=True)


if __name__ == "__main__":
    main()
