"""An HTTP/2 server connection (RFC 9113) as one asyncio protocol, written for many small gRPC calls.

frames -> Connection -> Application (one `Receiver` per stream)
Stream.respond/send_* -> Connection -> one write per turn of the loop
"""
