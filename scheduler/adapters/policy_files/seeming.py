"""Text that is taken for other text: by characters that nobody sees, and by letters of two alphabets in one word."""

import re
import unicodedata

_UNSEEN = re.compile(r"[\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e007f]")
"""What takes no room, or turns the order in which the rest is read. Joiners are not among them: Persian needs them."""

_ALPHABETS = ("LATIN", "GREEK", "CYRILLIC")
"""Those that have letters in common to the eye. No name is written in two of them at once."""


def deceives(text: str) -> str:
    """The first character by which it is taken for other text, as the tail of a message; nothing where there is none."""
    unseen = _UNSEEN.search(text)
    odd = unseen[0] if unseen is not None else next(filter(None, map(_letter_of_another, text.split())), "")
    return f" (with the character U+{ord(odd):04X})" if odd else ""


def _letter_of_another(word: str) -> str:
    """Its first letter of another alphabet than the first; nothing where all are of one."""
    first = ""
    for letter in word:
        alphabet = unicodedata.name(letter, "").partition(" ")[0]
        if alphabet in _ALPHABETS:
            first = first or alphabet
            if alphabet != first:
                return letter
    return ""
