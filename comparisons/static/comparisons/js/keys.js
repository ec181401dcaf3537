// Keyboard shortcuts, written in the markup: data-key="j" is clicked, or focused if it is a field, when j is pressed.
// Never while somebody types, never with Ctrl, Alt or Cmd, never behind an open dialog.

const TYPING = "input:not([type=checkbox], [type=radio], [type=button], [type=submit]), textarea, select, [contenteditable]";

export function listenForKeys() {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
    if (event.target.closest?.(TYPING)) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (document.querySelector("dialog[open]")) return;
    const target = elementFor(event.key);
    if (!target) return;
    event.preventDefault();
    if (target.matches(TYPING)) focus(target);
    else target.click();
  });
}

function elementFor(key) {
  return [...document.querySelectorAll("[data-key]")].find((element) => element.dataset.key === key && !element.disabled);
}

function focus(field) {
  field.closest("details:not([open])")?.setAttribute("open", "");
  field.scrollIntoView({ block: "center" });
  field.focus();
}
