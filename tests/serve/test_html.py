"""Text becomes markup in one place, and hostile text stays text."""

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from holdfast.serve.ui.html import clip, document, el, join, text


class Reader(HTMLParser):
    """What a browser would see: tags with their attributes, and text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def read(markup: str) -> Reader:
    reader = Reader()
    reader.feed(markup)
    reader.close()
    return reader


visible = st.text(st.characters(min_codepoint=32, max_codepoint=126))


@given(visible, visible)
def test_text_and_values_come_back_as_they_went_in(content: str, value: str) -> None:
    seen = read(el("p", content, title=value))

    assert seen.tags == [("p", {"title": value})]
    assert seen.text == content


@given(st.text())
def test_no_text_makes_a_tag(content: str) -> None:
    seen = read(el("p", content, title=content))

    assert [tag for tag, _ in seen.tags] == ["p"]


def test_characters_that_deceive_the_eye_are_written_out() -> None:
    assert text("pay\u202egpj.exe") == "pay«U+202E»gpj.exe"
    assert text("a\u200bb\x00c\x1b[31m") == "a«U+200B»b«U+0000»c«U+001B»[31m"


def test_a_form_field_keeps_the_characters_that_were_asked_for() -> None:
    assert read(el("input", value="a\u202eb")).tags == [("input", {"value": "a\u202eb"})]


def test_only_what_was_made_here_is_markup() -> None:
    inner = el("b", "<i>")

    assert el("p", inner, None, ["x", inner]) == "<p><b>&lt;i&gt;</b>x<b>&lt;i&gt;</b></p>"
    assert join(["<b>", inner]) == "&lt;b&gt;<b>&lt;i&gt;</b>"


def test_attributes_may_be_bare_or_absent() -> None:
    element = el(
        "option", "x", selected=True, hidden=False, class_=None, aria_label="y", tabindex=0
    )

    assert element == '<option selected aria-label="y" tabindex="0">x</option>'


def test_a_document_is_one_utf8_page() -> None:
    page = document("ä", el("main", "ö"))

    assert page.decode().startswith('<!doctype html>\n<html lang="en"><head><meta charset="utf-8">')


def test_what_is_clipped_ends_in_an_ellipsis() -> None:
    assert clip("abcdef", 4) == "abc…"
    assert clip("abcd", 4) == "abcd"
