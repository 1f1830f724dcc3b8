"""The compiled runner: weights packed for the kernels, and one native call per step."""
