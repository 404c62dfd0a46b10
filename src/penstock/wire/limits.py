"""What bounds a connection: sizes in bytes and times in seconds, each with its reason."""

from __future__ import annotations

HEAD_BYTES = 64 << 10  # request line and headers; presigned URLs and session tokens stay below 16 KB
HEADERS = 256  # headers of one request; AWS's own load balancers take 100
MEMORY_BYTES = 1 << 20  # of a body: what is longer goes to a file
DOCUMENT_BYTES = 70 << 20  # a body of an operation whose request is read as a whole (see protocol.JSON_LIMIT_BYTES)
STREAM_BYTES = 5 << 30  # a body that is one streaming member: S3's largest object in one PUT
EXPANDED_BYTES = 70 << 20  # a compressed body once it is unpacked
EXPANSION = 200  # times its size that a body may grow to; honest JSON stays below 50
PIPELINED = 32  # requests of one connection that are answered at once; more wait in the socket
IDLE_SECONDS = 120  # a connection without a request; the SDKs' pools let go after 60 to 90
HEAD_SECONDS = 20  # from a request's first byte to the end of its headers
BODY_SECONDS = 60  # without a byte of a body that is announced
WRITE_SECONDS = 60  # without the client taking a byte of an answer
LINGER_SECONDS = 10  # that a client whose request was refused may go on sending it, until it reads why
SWEEP_SECONDS = 2  # how often connections are looked at for these
WRITE_BUFFER_BYTES = 256 << 10  # of answers the client has not taken, before a connection reads no more
STREAMS = 128  # HTTP/2 streams of one connection at once; Java's Kinesis client asks for up to 250 and takes fewer
STREAM_WINDOW_BYTES = 1 << 20  # of a request body in flight on one stream
FRAME_BYTES = 16_384  # of one HTTP/2 frame: the protocol's default, which is what is announced
RESETS = 1000  # streams a client may cancel on one connection: "rapid reset" ends it
CONNECTIONS = 10_000  # at once; SDK pools are 10 to 50 each
