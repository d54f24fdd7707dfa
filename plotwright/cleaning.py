"""Plain prose from what an encyclopaedia's export leaves in a plot."""

import re
import unicodedata

import ftfy
from ftfy.fixes import remove_terminal_escapes, unescape_html

# Entities are decoded before ftfy runs: ftfy leaves them alone in a line that holds a "<".
_FTFY = ftfy.TextFixerConfig(unescape_html=False, explain=False)

_NESTED_AMPERSAND = re.compile(r"&(?:amp;)+", re.IGNORECASE)
_LINE_END = re.compile(r"\r\n?|[\x0b\x0c\u2028\u2029]")
_BLANKS = re.compile(r"[^\S\n]+")
# "in France . To do this"; not " .45 calibre", not " ... and".
_STRAY_BLANK = re.compile(r" ([.,;])(?=\s|\Z)")
# Controls, soft hyphen, zero-width and direction marks, byte order mark, replacement characters.
_INVISIBLE = re.compile(
    r"[\x00-\x08\x0e-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffd]"
)

_COMMENT = re.compile(r"<!--.*?-->|<ref\b[^<>]{0,200}(?:/>|>[^<>]{0,2000}</ref>)", re.DOTALL | re.IGNORECASE)
_BREAKING_TAG = re.compile(
    r"</?(?:br|p|div|li|ul|ol|dl|dd|dt|tr|table|blockquote|h[1-6]|hr)\b[^<>]{0,200}>", re.IGNORECASE
)
# Only names that HTML or MediaWiki knows: "<3" and "<Anna>" are text.
_TAG = re.compile(
    r"</?(?:a|abbr|b|big|center|cite|code|del|em|font|i|img|ins|nowiki|pre|q|ref|references|s|script|small|span"
    r"|strike|strong|style|sub|sup|tbody|td|th|tt|u)\b[^<>]{0,200}>",
    re.IGNORECASE,
)
# "<|endoftext|>" inside a plot would end it in the middle.
_MODEL_TOKEN = re.compile(r"<\|[A-Za-z_]{1,40}\|>")

# "[1]:15" is mark and page. A lone letter is a mark where nothing stands before it: "$5,000.[a]", not "show [a] man".
_CITATION = re.compile(
    r"(?:[^\S\n]*\[(?:"
    r"\d{1,3}(?:[,;–-] ?\d{1,3})*|(?:notes?|nb|n|fn|refs?)[^\S\n]*\d{1,3}"
    r"|(?:[a-z]+ )?(?:citation|clarification|disambiguation|page|year|source|verification|attribution|quotation"
    r"|definition|expansion|translation|explanation|copy ?edit)s? needed[^\[\]\n]{0,40}"
    r"|(?:who|whom|by whom|why|when|where|which|what|how|vague|clarify|according to whom)\?"
    r"|(?:original research|(?:unreliable|self-published)(?: fringe)? source|failed verification|dead link)\??"
    r"|sic|edit|not in citation given|neutrality is disputed|weasel words|peacock term|dubious(?: ?[–-] ?discuss)?"
    r")\]|(?<=[^\s\[])\[(?-i:[a-z])\])(?::\d{1,4}(?:[–-]\d{1,4})?)?",
    re.IGNORECASE,
)

_HEADING_WORDS = (
    r"(?:(?:plot|story|film|movie|short|brief)[^\S\n])?"
    r"(?:plot|synopsis|summary|story|storyline|premise|overview|outline|notes?)"
)
_LABEL = re.compile(rf"^{_HEADING_WORDS}[^\S\n]?:[^\S\n]*", re.IGNORECASE | re.MULTILINE)
_HEADING = re.compile(rf"^{_HEADING_WORDS}$\n?", re.IGNORECASE | re.MULTILINE)
# Lines of an article's credits box; a sentence that begins alike ends with a full stop.
_CREDIT = re.compile(
    r"^(?:"
    r"(?:music|cinematography|edited|production compan(?:y|ies)|distributed|running time|country|language"
    r"|release dates?|budget|box office|starring|directed|produced|written|screenplay)(?: by)? ?:[^\n]*"
    r"|(?:(?:written|directed|produced|edited)(?:, | and )?)+ by [^\n.]{1,80}"
    r"|(?:main articles?|see also|further information) ?:[^\n]*"
    r")$\n?",
    re.IGNORECASE | re.MULTILINE,
)
_APPEAL = re.compile(
    r"This (?:article|section|plot|article's plot|section's plot)[^.\n]{0,60}"
    r"(?:needs? (?:expansion|additional|improvement|to be)|(?:may be|is) too long|is empty|is a stub)[^.\n]{0,120}\."
    r"|You can help (?:Wikipedia )?by [^.\n]{1,80}\."
    r"|Please help (?:improve|expand|to improve|to expand|by) [^.\n]{1,80}\."
)

_LOST_QUOTATION = re.compile(r"(?:^|(?<=[.!?\"')\]])[^\S\n])[^.!?\n]*:\Z", re.MULTILINE)
_NO_PLOT = re.compile(
    r"\bno\b[^.]{0,40}\b(?:plot|synopsis|summary|storyline)\b[^.]{0,60}\b(?:available|known|exists?|found|given|yet)\b"
    r"|\b(?:plot|synopsis|summary|storyline)\b[^.]{0,60}"
    r"\b(?:unknown|unavailable|not (?:yet |currently )?(?:available|known|been))\b"
    r"|^(?:n/?a|none|unknown|tb[ad]|to be (?:added|announced|determined)|coming soon|no plot|add (?:a )?plot|plot)\W*$",
    re.IGNORECASE,
)
# A boilerplate sentence about the missing plot is this short at most, in words; in a longer text it is an aside.
_NO_PLOT_WORDS = 60


def _decode(text: str) -> str:
    """Undo entities, mojibake, curly quotes and terminal escapes."""
    if "&" in text:
        text = unescape_html(_NESTED_AMPERSAND.sub("&", text))
    if "\x1b" in text:
        text = remove_terminal_escapes(text)
    # ftfy changes nothing in printable ASCII, and most plots are: tests/test_cleaning.py checks that it is equivalent.
    return text if text.isascii() else ftfy.fix_text(text, _FTFY)


def _strip_markup(text: str) -> str:
    """Remove tags, comments and the model's own special tokens."""
    text = _COMMENT.sub("", text)
    text = _BREAKING_TAG.sub("\n", text)
    return _MODEL_TOKEN.sub("", _TAG.sub("", text))


def _strip_apparatus(text: str) -> str:
    """Remove what belongs to the article and not to the story: headings, labels, credits, editors' appeals."""
    return _APPEAL.sub("", _CREDIT.sub("", _HEADING.sub("", _LABEL.sub("", text))))


def _clean_once(text: str) -> str:
    text = _INVISIBLE.sub("", _LINE_END.sub("\n", _decode(text)))
    if "<" in text:
        text = _strip_markup(text)
    if "[" in text:
        text = _CITATION.sub("", text)
    lines = (line.strip() for line in _STRAY_BLANK.sub(r"\1", _BLANKS.sub(" ", text)).split("\n"))
    return unicodedata.normalize("NFC", _strip_apparatus("\n".join(line for line in lines if line)))


def clean_text(text: str) -> str:
    """`text` as plain prose in Unicode NFC: one paragraph a line, single blanks, straight quotes.

    Removes citation marks and editors' queries (`[1]`, `[note 2]`, `[citation needed]`), HTML entities and tags,
    mojibake, control and zero-width characters, headings ("Plot summary"), credit lines and editors' appeals.
    Repeated until nothing changes, so cleaning a clean text returns it as it is: removing one mark can uncover another
    ("&amp;lt;b>", "[[1]2]").
    """
    text = _LINE_END.sub("\n", text)  # the commonest change by far; without it most texts need one pass only
    while (cleaned := _clean_once(text)) != text:
        text = cleaned
    return text


def drop_lost_quotation(text: str) -> str:
    """`text` without a closing sentence that ends in a colon.

    The quotation or list it announces was lost when the file was made.
    """
    return _LOST_QUOTATION.sub("", text).rstrip()


def says_no_plot(text: str) -> bool:
    """Whether the cleaned `text` only says that no plot is known ("No plot available.", "TBA")."""
    return len(text.split()) <= _NO_PLOT_WORDS and _NO_PLOT.search(text) is not None
