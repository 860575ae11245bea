"""A visitor who has a keyboard and nothing else: goes from control to control with Tab, and sees where they are."""

from __future__ import annotations

from playwright.sync_api import FileChooser, Page

#: How often Tab may be pressed on the way to a control: who has to press it more often is lost, or caught.
MOST_TABS = 120

#: What has the focus: its name, whether that can be seen, and whether it is in the window.
_FOCUSED = """() => {
  const node = document.activeElement;
  if (!node || node === document.body) return { name: "", seen: true, inside: true };
  const text = (one) => (one?.innerText || one?.textContent || "").replace(/\\s+/g, " ").trim();
  const labelled = node.getAttribute("aria-labelledby");
  const name = node.getAttribute("aria-label")
    || (labelled && text(document.getElementById(labelled)))
    || (node.labels?.length ? text(node.labels[0]) : "")
    || text(node) || node.getAttribute("placeholder") || node.value || "";
  const shown = node.closest(".file-button, .editor, .mod-card, .area-card, .script-card") ?? node;
  const style = getComputedStyle(shown);
  const box = shown.getBoundingClientRect();
  return {
    name, tag: node.outerHTML.slice(0, 160),
    seen: style.outlineStyle !== "none" || style.boxShadow !== "none",
    inside: box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth,
  };
}"""


def _leave(_chooser: FileChooser) -> None:
    """Who waits for it takes it."""


class Keys:
    def __init__(self, page: Page) -> None:
        self.page = page
        # From here on choosers come to us. Said only when a key is about to open one, it could come after the key.
        page.on("filechooser", _leave)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def type(self, text: str) -> None:
        self.page.keyboard.type(text)

    @property
    def at(self) -> str:
        """The name of what has the focus; it has to be seen."""
        found = self.page.evaluate(_FOCUSED)
        assert found["seen"], f"nothing shows the focus: {found['tag']}"
        assert found["inside"], f"the focus is out of the window: {found['tag']}"
        return str(found["name"])

    def to(self, name: str, *, back: bool = False) -> None:
        """Go on with Tab to the next control whose name begins so."""
        passed = []
        for _ in range(MOST_TABS):
            self.press(*(("Escape",) if self._in_editor() else ()), "Shift+Tab" if back else "Tab")
            passed.append(self.at)
            if passed[-1].startswith(name):
                return
        raise AssertionError(f"Tab never came to {name!r}, only to {passed}")

    def fill(self, name: str, text: str) -> None:
        self.to(name)
        self.press("ControlOrMeta+a")
        self.type(text)

    def choose(self, name: str, file: dict[str, object]) -> None:
        """Go to a button that chooses files, and choose one."""
        self.to(name)
        with self.page.expect_file_chooser() as chooser:
            self.press(" ")
        chooser.value.set_files(file)  # type: ignore[arg-type]

    def _in_editor(self) -> bool:
        """Whether Tab is text here, until Escape is pressed."""
        found: bool = self.page.evaluate("Boolean(document.activeElement?.closest('.editor'))")
        return found
