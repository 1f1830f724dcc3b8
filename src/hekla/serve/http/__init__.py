"""HTTP/1.1 for the serving path: requests handed over as views, answers as lists of buffers, no task per request."""
