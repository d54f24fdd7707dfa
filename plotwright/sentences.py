"""English: where a text may end, after its last whole sentence, and a number with its noun."""

import re

# Titles and Latin shortenings that a stop follows without ending the sentence, and initials ("J. R. Ewing").
_SHORT = re.compile(
    r"(?:\b(?:Mr|Mrs|Ms|Dr|Prof|St|Sr|Jr|Lt|Col|Gen|Capt|Sgt|Rev|Hon|Mt|vs|etc|e\.g|i\.e|approx|No)|(?<!\w)[A-Z])\.$",
)
_END = re.compile(r"""(?:\.{3}|…|[.!?]+)["'”’»)\]]*(?=\s|$)""")


def finish_at_sentence_end(text: str) -> str:
    """`text` up to its last whole sentence, with the quotation marks and brackets that close it.

    A text without any sentence end is returned as it is: half a sentence is better than nothing. A stop
    after a title, a usual abbreviation or an initial ends no sentence, nor does one inside a number.
    """
    ends = [match.end() for match in _END.finditer(text) if not _SHORT.search(text[: match.end()])]
    return text[: ends[-1]] if ends else text


def counted(number: int, noun: str) -> str:
    """The number with its noun, whose plural is regular: "1 plot", "1,000 plots"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
