"""What a browser would read in a page: elements with their attributes and text, and the data in its script."""

import json
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

VOID = {"meta", "link", "input", "br", "img"}


@dataclass
class Element:
    tag: str
    attributes: dict[str, str | None]
    text: str = ""
    children: list["Element"] = field(default_factory=list)

    def all(self, tag: str, **attributes: str) -> list["Element"]:
        own = self.tag == tag and all(self.attributes.get(name) == value for name, value in attributes.items())
        return [*([self] if own else []), *(found for child in self.children for found in child.all(tag, **attributes))]

    @property
    def words(self) -> str:
        return " ".join([self.text.strip(), *(child.words for child in self.children)]).strip()


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open = [Element("", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, dict(attrs))
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        while self.open.pop().tag != tag:
            pass

    def handle_data(self, data: str) -> None:
        self.open[-1].text += data


def read(page: str) -> Element:
    parser = _Parser()
    parser.feed(page)
    parser.close()
    return parser.open[0]


def data_of(page: str) -> dict[str, Any]:
    (script,) = read(page).all("script", id="data")
    found: dict[str, Any] = json.loads(script.text)
    return found
