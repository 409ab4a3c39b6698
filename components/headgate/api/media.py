"""What bytes are, as they say themselves: a sender's word for it is not believed."""

#: What a file is said to be that begins like none of those that are known.
UNKNOWN = "application/octet-stream"

#: The media type of server-sent events.
EVENTS = "text/event-stream"

PNG, JPEG, WEBP, GLB = "image/png", "image/jpeg", "image/webp", "model/gltf-binary"

#: The types that `sniff` tells apart, each with the ending of its files.
KNOWN = {PNG: ".png", JPEG: ".jpg", WEBP: ".webp", GLB: ".glb"}

#: How many of its first bytes tell what a file is.
TELLING = 12


def sniff(head: bytes) -> str:
    """The media type of a file that begins with `head`, its first `TELLING` bytes, or all where it has fewer."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return PNG
    if head.startswith(b"\xff\xd8\xff"):
        return JPEG
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return WEBP
    if head.startswith(b"glTF\x02\x00\x00\x00"):  # version 2; glTF 1 was another format
        return GLB
    return UNKNOWN
