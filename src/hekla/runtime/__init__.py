"""The machine: buffers that own memory, what this processor can do, and worker threads."""
