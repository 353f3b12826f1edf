r"""What a word is, and a filter that says which blocks of rows may hold it. Pure.

A word is a longest run of letters, digits, "_", "-" and of anything beyond ASCII, as it stands in
the stored line: so a UUID, a ticket's number and a host's label are one word each. Upper and lower
case of ASCII are the same. An escape ("\n") ends the word before it; behind it, the word begins
both with and without the escape's letter, for the line alone does not say which was meant.

numpy, because this is done with every byte of every record once: word by word in plain Python it
would cost more than all else that a fold does.
"""

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

UInt32s = npt.NDArray[np.uint32]
UInt64s = npt.NDArray[np.uint64]
Int64s = npt.NDArray[np.int64]

BLOCK_ROWS = 1_024
LANE_BLOCKS = 64  # a word of the filter has a bit for each of so many blocks
PIECE_BYTES = 1 << 17  # as much as a CPU's cache holds, with all that is made of it
WORD_BITS = 10  # of the filter, for each word that a block holds

# Characters beyond ASCII that a search in any case takes for a letter of ASCII.
_FOLDED = {"\u017f".encode(): b"s", "\u212a".encode(): b"k"}
_PAD = b" " * 8
_SPACE, _BACKSLASH = 32, 92
_LETTERS = re.compile(rb"[0-9A-Za-z_\-\x80-\xff]")
_TABLE = bytes(
    (code + 32 if 65 <= code <= 90 else code) if _LETTERS.match(bytes([code])) else _SPACE
    for code in range(256)
)
_ODD = tuple(
    np.uint64(odd)
    for odd in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93)
)
_MIX = np.uint64(0xBF58476D1CE4E5B9)
_HALF = np.uint64(32)
_LOW = (1 << 64) - 1
_NO_WORD = np.uint32(0)
_TABLE_BITS = 16
_SEPARATOR = r"[\x00-,./:-@\[-\^`{-\x7f]"  # whatever is no part of a word


def whole(text: str) -> str:
    """A regular expression for a text that neither begins nor ends within a word.

    Means the same to RE2 and, encoded, to Python's `re` over bytes.
    """
    before = rf"(?:^|{_SEPARATOR}|\\[bfnrt])" if _is_letter(text[0]) else ""
    after = rf"(?:$|{_SEPARATOR})" if _is_letter(text[-1]) else ""
    return f"{before}{re.escape(text)}{after}"


def _is_letter(character: str) -> bool:
    return not character.isascii() or _TABLE[ord(character)] != _SPACE


class Block:
    """The words of some rows, most of them once: a record repeats what others say."""

    def __init__(self) -> None:
        self.words: list[UInt32s] = []
        self._last = np.full(1 << _TABLE_BITS, _NO_WORD)  # by the upper bits of a word's hash

    def add(self, words: UInt32s) -> None:
        places = words >> np.uint32(32 - _TABLE_BITS)
        new = self._last[places] != words
        self.words.append(words[new])
        self._last[places[new]] = self.words[-1]

    def count(self) -> int:
        """About how many different words there are: by how full they make a table of bits."""
        table = np.zeros(1 << _TABLE_BITS, np.bool_)
        for some in self.words:
            table[some >> np.uint32(32 - _TABLE_BITS)] = True
        full = min(int(np.count_nonzero(table)), len(table) - 1) / len(table)
        return int(-np.log1p(-full) * len(table)) + 1


def hashes_of(data: bytes) -> UInt32s:
    """A hash of every word in some lines, as often as it is there, in any order."""
    if not data.isascii():
        for other, letter in _FOLDED.items():
            data = data.replace(other, letter)
    text = b"".join((_PAD, data.translate(_TABLE), _PAD))
    letters = np.frombuffer(text, np.uint8) != _SPACE
    edges = np.flatnonzero(letters[1:] != letters[:-1]) + 1
    starts, ends = edges[0::2], edges[1::2]
    if b"\\" in data:
        before = np.frombuffer(data, np.uint8)[np.maximum(starts - len(_PAD) - 1, 0)]
        longer = (before == _BACKSLASH) & (ends - starts > 1)
        starts = np.concatenate([starts, starts[longer] + 1])
        ends = np.concatenate([ends, ends[longer]])
    return hashes_at(text, starts, ends)


def hashes_at(text: bytes, starts: Int64s, ends: Int64s) -> UInt32s:
    """Hashes of pieces of a text, which has 8 bytes more on both sides.

    By the first 8 bytes, the last 8 and the length: who finds the same may have found another.
    """
    eights = np.ndarray(max(len(text) - 7, 0), "<u8", text, strides=(1,))
    sizes = ends - starts
    cut = ((8 - np.minimum(sizes, 8)) << 3).astype(np.uint64)
    # Two shifts: a word of no byte would be shifted by its whole width, which does nothing.
    half = cut >> np.uint64(1)
    mixed = ((eights[starts] << half) << (cut - half)) * _ODD[0]
    mixed ^= ((eights[ends - 8] >> half) >> (cut - half)) * _ODD[1]
    mixed ^= sizes.astype(np.uint64) * _ODD[2]
    mixed ^= mixed >> np.uint64(29)
    mixed *= _MIX
    hashes: UInt32s = np.maximum((mixed >> _HALF).astype(np.uint32), _NO_WORD + 1)
    return hashes


def hash_of(text: bytes) -> int:
    """The hash of a whole text, as `hashes_at` makes it."""
    ends = np.array([len(_PAD) + len(text)])
    return int(hashes_at(b"".join((_PAD, text, _PAD)), ends - len(text), ends)[0])


def within(text: bytes, *, is_whole: bool) -> list[int]:
    """Hashes of words that every line with this text in it, in any case, must have.

    is_whole: its ends do not lie within longer words. Beyond ASCII, another case is another word:
    those are left out.
    """
    for other, letter in _FOLDED.items():
        text = text.replace(other, letter)
    pieces = re.finditer(rb"[0-9A-Za-z_\-\x80-\xff]+", text)
    return [
        hash_of(piece[0].lower())
        for piece in pieces
        if piece[0].isascii() and (is_whole or (piece.start() > 0 and piece.end() < len(text)))
    ]


class Filter:
    """For each block of rows, which words it may hold; from as many numbers as `numbers` has.

    A word sets 4 of `width` positions. A position is a number with a bit for each of 64 blocks, so
    a look at four numbers tells of all blocks at once. More blocks have more numbers: one lane of
    `width` behind the other.
    """

    def __init__(self, numbers: UInt64s, blocks: int) -> None:
        lanes = max(-(-blocks // LANE_BLOCKS), 1)
        self.width = len(numbers) // lanes
        self._lanes = lanes
        self._at = numbers.data  # one number out of an array costs thrice as much

    def blocks_with(self, all_of: Sequence[tuple[int, ...]]) -> list[int]:
        """The blocks that may hold all of some words, given the words' `probes`."""
        found: list[int] = []
        for lane in range(self._lanes):
            first, mask = lane * self.width, _LOW
            for probes in all_of:
                for probe in probes:
                    mask &= self._at[first + (probe * self.width >> 32)]
                if not mask:
                    break
            block = lane * LANE_BLOCKS
            while mask:
                if mask & 1:
                    found.append(block)
                mask >>= 1
                block += 1
        return found


def probes(word: int) -> tuple[int, ...]:
    """What places a word in a filter of any width."""
    return tuple(((word * int(odd)) & _LOW) >> 32 for odd in _ODD)


def make_filter(blocks: Sequence[Block]) -> UInt64s:
    """The numbers of a filter, from the words of each block in turn."""
    # By what is in a block, however few blocks there are: each has a bit of every number.
    count = sum(block.count() for block in blocks) // max(len(blocks), 1)
    lanes = max(-(-len(blocks) // LANE_BLOCKS), 1)
    width = max(count * WORD_BITS, LANE_BLOCKS)
    numbers = np.zeros((lanes, width), np.uint64)
    for number, block in enumerate(blocks):
        lane = numbers[number // LANE_BLOCKS]
        bit = np.uint64(1 << (number % LANE_BLOCKS))
        for some in block.words:
            wide = some.astype(np.uint64)
            for odd in _ODD:
                places = (((wide * odd) >> _HALF) * np.uint64(width)) >> _HALF
                lane[places] |= bit
    return numbers.reshape(-1)
