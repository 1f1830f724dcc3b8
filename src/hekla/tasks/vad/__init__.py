"""Where somebody speaks: Silero VAD over a stream of short windows."""
