"""Guessing the next tokens cheaply, to have the model check several in one step.

Whoever guesses, the answer is the same, token for token: the model chooses the token after each guessed one by the
random number of that position, as it would without guesses, and a guess counts only if it is the very token chosen.
"""
