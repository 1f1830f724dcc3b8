"""Kernels of the language-model step: packed matrices, paged attention, rotation, sampling, and the step itself."""
