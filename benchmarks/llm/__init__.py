"""Language models beside their peers: `python -m benchmarks.llm --help`."""
