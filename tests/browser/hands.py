"""Two ways to use the dashboard: a pointer that clicks, and a keyboard alone.

Both do the same tasks through the same few motions, each looked up by the role and name that
a screen reader tells. The keyboard has nothing but Tab, arrows, Enter, Space and text; whatever
it reaches must be seen to have the focus.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from playwright.sync_api import Locator, Page, expect

FARTHEST = 300
"""How many times Tab is pressed before a thing counts as out of reach."""
FOCUSED = "element => element === document.activeElement"
SEEN = """element => {
  const ringed = (node) => {
    const style = getComputedStyle(node);
    return style.outlineStyle !== "none" || style.boxShadow !== "none";
  };
  const outlined = (node) => parseFloat(getComputedStyle(node).strokeWidth) >= 2;
  const drawn = [...element.querySelectorAll("rect")];
  return ringed(element) || ringed(element.parentElement) || drawn.some(outlined);
}"""


class Hands(ABC):
    """Someone at the dashboard. `motions` counts clicks, or Enters and Spaces."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.motions = 0

    def log_in(self, url: str, user: str, password: str) -> None:
        """From a blank page."""
        self.page.goto(url)
        self.fill("User name", user)
        self.fill("Password", password)
        self.press("button", "Sign in")
        self.page.wait_for_url(f"{url}/")
        self.motions = 0

    def find(self, role: str, name: str, within: Locator | None = None) -> Locator:
        """The first visible thing of this role and name."""
        found = (within or self.page).get_by_role(role, name=name).first  # type: ignore[arg-type]
        expect(found).to_be_visible()
        return found

    def press(self, role: str, name: str, within: Locator | None = None) -> None:
        """Follow a link, press a button."""
        self.motions += 1
        self.use(self.find(role, name, within))

    def menu(self, name: str, item: str, within: Locator | None = None) -> None:
        """Open the menu of this name, and choose an item of it."""
        opener = (within or self.page).locator("summary").and_(self.page.get_by_title(name)).first
        expect(opener).to_be_visible()
        self.motions += 1
        self.use(opener)
        self.press("link", item, opener.locator("xpath=.."))

    @property
    def dialog(self) -> Locator:
        return self.page.locator("#dialog")

    def confirm(self, button: str, reason: str = "", node: str = "") -> None:
        """Answer the question of an action."""
        expect(self.dialog).to_be_visible()
        if node:
            self.choose(node, self.dialog)
        if reason:
            self.fill("Reason", reason, self.dialog)
        self.press("button", button, self.dialog)
        expect(self.dialog.locator("form")).to_have_count(0)

    @abstractmethod
    def use(self, target: Locator) -> None:
        """Do what a thing is there for."""

    @abstractmethod
    def fill(self, label: str, text: str, within: Locator | None = None) -> None:
        """Write into a field in place of what stands there."""

    @abstractmethod
    def choose(self, name: str, within: Locator | None = None) -> None:
        """Choose one of several radio buttons, or tick a box."""


class Pointer(Hands):
    """Clicks."""

    def use(self, target: Locator) -> None:
        target.click()

    def fill(self, label: str, text: str, within: Locator | None = None) -> None:
        field = (within or self.page).get_by_label(label).first
        field.click()
        field.fill(text)

    def choose(self, name: str, within: Locator | None = None) -> None:
        box = (
            (within or self.page)
            .locator(":is([type=radio], [type=checkbox])")
            .and_((within or self.page).get_by_label(name))
        )
        box.first.check()


class Keyboard(Hands):
    """Tab to it, then Enter."""

    def use(self, target: Locator) -> None:
        self.reach(target)
        self.page.keyboard.press("Enter")

    def fill(self, label: str, text: str, within: Locator | None = None) -> None:
        field = (within or self.page).get_by_label(label).first
        self.reach(field)
        self.page.keyboard.press("Control+A")
        self.page.keyboard.type(text)

    def choose(self, name: str, within: Locator | None = None) -> None:
        where = within or self.page
        box = where.locator(":is([type=radio], [type=checkbox])").and_(where.get_by_label(name)).first
        if box.get_attribute("type") == "checkbox":
            self.reach(box)
            if not box.is_checked():
                self.page.keyboard.press("Space")
            return
        if box.is_checked():
            return
        group = where.locator(f"[name='{box.get_attribute('name')}']")
        self.reach_any(group)
        for _ in range(group.count()):
            self.page.keyboard.press("ArrowDown")
            if box.is_checked():
                return
        raise AssertionError(f"the arrow keys do not come to {name}")

    def reach(self, target: Locator) -> None:
        """Press Tab until the target has the focus, and see that it shows it."""
        expect(target).to_be_visible()
        self.reach_any(target)
        assert target.evaluate(SEEN), f"the focus of {target} cannot be seen"

    def reach_any(self, targets: Locator) -> None:
        for _ in range(FARTHEST):
            if any(targets.nth(index).evaluate(FOCUSED) for index in range(targets.count())):
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"{targets} cannot be reached by Tab")
