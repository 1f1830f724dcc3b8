"""The definition of the language: the IR run by NumPy, slowly and with every access checked."""
