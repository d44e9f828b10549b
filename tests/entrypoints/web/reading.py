"""Reads a page as a browser would see it: its text, its forms, its links, and what the content policy forbids."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

from httpx import Response

_UNNAMED = "(its label)"  # an option without a value is sent by its label, which comes after its tag
_VOID = frozenset({"meta", "link", "input", "br"})


@dataclass
class Form:
    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    options: dict[str, list[str]] = field(default_factory=dict)


class Page(HTMLParser):
    """A page that was read. `inline` lists styles and scripts that stand in the page itself."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.pieces: list[str] = []
        self.forms: list[Form] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.inline: list[str] = []
        self.labels: set[str] = set()
        self.unlabelled: list[str] = []
        self.open: list[str] = []
        self._select = ""
        self._has_value = True
        self.feed(html)
        self.close()

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.pieces).replace("\u202f", " ").split())

    def form(self, action: str) -> Form:
        return next(form for form in self.forms if form.action == action)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag not in _VOID:
            self.open.append(tag)
        if "id" in given:
            self.ids.append(given["id"])
        self.inline += [f"{tag} {name}" for name in given if name == "style" or name.startswith("on")]
        if tag == "style" or (tag == "script" and "src" not in given):
            self.inline.append(tag)
        if tag == "a":
            self.links.append(given.get("href", ""))
        if tag == "form":
            self.forms.append(Form(given.get("action", ""), given.get("method", "get")))
        if tag == "label" and "for" in given:
            self.labels.add(given["for"])
        if tag in {"input", "select"} and self.forms:
            self._field(tag, given)
        if tag == "option" and self._select:
            self._has_value = "value" in given
            options = self.forms[-1].options.setdefault(self._select, [])
            options.append(given.get("value", ""))
            if "selected" in given or len(options) == 1:
                self.forms[-1].fields[self._select] = given.get("value", _UNNAMED)

    def _field(self, tag: str, given: dict[str, str]) -> None:
        name = given.get("name", "")
        if tag == "select":
            self._select = name
        elif given.get("type") not in {"checkbox"}:
            self.forms[-1].fields[name] = given.get("value", "")
        if given.get("type") not in {"hidden", "checkbox"} and given.get("id", "") not in self.labels:
            self.unlabelled.append(name)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open[-1] == tag, f"</{tag}> closes <{self.open[-1]}> in {self.open}"
        self.open.pop()

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in {"script", "style"}:
            self.pieces.append(data)
        if self.open and self.open[-1] == "option" and not self._has_value:
            form, label = self.forms[-1], data.strip()
            form.options[self._select][-1] = label
            if form.fields[self._select] == _UNNAMED:
                form.fields[self._select] = label


def read(response: Response) -> Page:
    assert response.headers["content-type"].startswith("text/html"), response.text
    page = Page(response.text)
    assert not page.open, f"left open: {page.open}"
    return page
