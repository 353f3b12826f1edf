"""Glyphs and patterns: one silhouette a state, so that none rests on colour. Pure."""

from typing import Final

from holdfast.serve.ui.html import Markup

SYMBOLS: Final = Markup(
    '<svg class="defs" aria-hidden="true" focusable="false"><defs>'
    '<pattern id="p-unk" width="6" height="6" patternUnits="userSpaceOnUse" '
    'patternTransform="rotate(45)"><path class="p-unk" d="M0 0v6"/></pattern>'
    '<pattern id="p-fly" width="5" height="5" patternUnits="userSpaceOnUse">'
    '<path class="p-fly" d="M0 0h2.5v5H0z"/></pattern>'
    '<pattern id="p-out" width="5" height="5" patternUnits="userSpaceOnUse">'
    '<circle class="p-out" cx="1.5" cy="1.5" r=".9"/></pattern>'
    '<symbol id="mark" viewBox="0 0 24 24"><g fill="none" stroke="currentColor" '
    'stroke-width="2.5" stroke-linecap="round"><path d="M12 2.5v14"/>'
    '<path d="M12 8.5C12 13 4.5 11.5 4.5 16.5"/><path d="M12 8.5c0 4.5 7.5 3 7.5 8"/></g>'
    '<path class="f-held" d="M1.5 18.5h21V22h-21z"/></symbol>'
    '<symbol id="held" viewBox="0 0 16 16"><circle cx="8" cy="8" r="7.5"/>'
    '<path class="k" d="m4.8 8.3 2.3 2.3 4.2-4.9"/></symbol>'
    '<symbol id="behind" viewBox="0 0 16 16"><circle class="o" cx="8" cy="8" r="6.7"/>'
    '<path d="M8 3.6a4.4 4.4 0 0 0 0 8.8z"/></symbol>'
    '<symbol id="down" viewBox="0 0 16 16">'
    '<path d="M4.8.5h6.4l4.3 4.3v6.4l-4.3 4.3H4.8L.5 11.2V4.8z"/>'
    '<path class="k" d="m5.2 5.2 5.6 5.6m0-5.6-5.6 5.6"/></symbol>'
    '<symbol id="unk" viewBox="0 0 16 16"><circle class="o dash" cx="8" cy="8" r="6.9"/>'
    '<path class="o" d="M5.9 6.3C6 3.7 10.2 3.9 10.1 6.3 10 7.8 8 7.8 8 9.6M8 11v1.5"/></symbol>'
    '<symbol id="none" viewBox="0 0 16 16"><circle class="o" cx="8" cy="8" r="6.7"/>'
    '<path class="o" d="M5 8h6"/></symbol>'
    '<symbol id="gap" viewBox="0 0 16 16"><path d="M0 3h3v10H0zm13 0h3v10h-3z"/>'
    '<path class="o" d="m5.3 5.3 5.4 5.4m0-5.4-5.4 5.4"/></symbol>'
    '<symbol id="fly" viewBox="0 0 16 16"><path d="M1 3h3v10H1zm5.5 0h3v10h-3zM12 3h3v10h-3z"/>'
    "</symbol></defs></svg>"
)
