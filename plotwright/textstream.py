"""Tokens in, text out as soon as it can be read: never half a character."""

from transformers import PreTrainedTokenizerBase

UNREADABLE = "\N{REPLACEMENT CHARACTER}"  # what bytes decode to that are no character, or not yet one


def decode(tokenizer: PreTrainedTokenizerBase, tokens: list[int]) -> str:
    """The text of tokens exactly as they spell it, without special tokens."""
    return str(tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False))


class TextStream:
    """Decodes one growing sequence of tokens piece by piece.

    The pieces joined are the whole decoded text. Held back is only a last character that the next token
    may still complete.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase):
        self.tokenizer = tokenizer
        # Some tokenizers decode a token differently at the start of a text, so the last tokens whose text
        # is out already stand before those that are decoded now.
        self.shown: list[int] = []
        self.pending: list[int] = []
        self.given = 0  # characters of the pending tokens' text that are out already

    def _text(self) -> str:
        return decode(self.tokenizer, self.shown + self.pending)[len(decode(self.tokenizer, self.shown)) :]

    def add(self, token: int) -> str:
        """The text that one more token makes readable, maybe empty."""
        self.pending.append(token)
        text = self._text()
        if text.endswith(UNREADABLE):
            piece = text[self.given : -1]
            self.given = max(self.given, len(text) - 1)
        else:
            piece = text[self.given :]
            self.shown, self.pending, self.given = self.pending, [], 0
        return piece

    def finish(self) -> str:
        """What was held back, now that no token follows."""
        return self._text()[self.given :]
