"""gRPC over HTTP/2 by libnghttp2: `session` is the glue to C and does no I/O, `connection` its asyncio protocol."""
