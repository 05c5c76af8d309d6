"""Bytes of a text whose encoding is not told, or told wrongly."""


def decoded(data: bytes) -> str:
    """UTF-8 if it is that, else Latin-1, which anything is."""
    try:
        return data.decode().strip("\0")
    except UnicodeDecodeError:
        return data.decode("latin-1").strip("\0")


def of_user_comment(data: bytes) -> str:
    """EXIF 3.0, 4.6.6: 8 bytes name the encoding. `UNICODE` is UTF-16, in either order and not always the file's."""
    code, text = data[:8], data[8:]
    if code == b"UNICODE\0":
        return _utf_16(text)
    return decoded(text if code in (b"ASCII\0\0\0", b"JIS\0\0\0\0\0", bytes(8)) else data)


def _utf_16(data: bytes) -> str:
    """All that is looked for holds ASCII, where every other byte is 0."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace").strip("\0")
    big, little = data[::2].count(0), data[1::2].count(0)
    if not big and not little:
        return decoded(data)
    return data.decode("utf-16-be" if big >= little else "utf-16-le", "replace").strip("\0")
