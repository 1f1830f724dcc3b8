"""Models that write text: their engines' threads, what doors ask of them, and what is measured.

door -> TextModel.start -> prepare (a thread) -> TextRunner (a thread per engine) -> events -> the door's receiver
"""
