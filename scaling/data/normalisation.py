"""Clean text: Unicode NFC, line feeds only, no control characters; what was changed is counted."""

import re
import unicodedata
from dataclasses import dataclass

_LINE_ENDS = re.compile("\r\n?|[\x85\u2028\u2029]")
# C0 and C1 controls but tab and line feed, DEL, the byte-order mark.
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufeff]")
_REPLACEMENT = "\ufffd"


@dataclass(frozen=True)
class CleanText:
    """A text as UTF-8, and how many characters were dropped, or stand for bytes that were not UTF-8."""

    utf8: bytes
    control_characters: int
    replacement_characters: int


def clean(text: str, *, normalise: bool) -> CleanText:
    """The text as it is tokenised.

    Without `normalise`, two repairs are still made: NUL, which separates documents, is dropped, and
    surrogates, which no UTF-8 can hold, are replaced by U+FFFD. Replacement characters are counted wherever
    they come from.
    """
    if normalise:
        if "\r" in text or not text.isascii():
            text = _LINE_ENDS.sub("\n", text)
        text, controls = _CONTROLS.subn("", text)
        text = unicodedata.normalize("NFC", text)
    else:
        controls = text.count("\x00")
        text = text.replace("\x00", "")
    try:
        utf8 = text.encode()
    except UnicodeEncodeError:
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        utf8 = text.encode()
    return CleanText(utf8, controls, text.count(_REPLACEMENT))
