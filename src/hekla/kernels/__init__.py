"""Numeric kernels written in the Hekla language: each file has contract, reference, kernel and cases."""
