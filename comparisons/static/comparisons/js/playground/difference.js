// Two columns, word by word. The server compares, so that it looks as on the page of a comparison.

import { post } from "./api.js";

export class Difference {
  // `columns`: a function, the columns as they stand; `changed` is called when it opens or closes.
  constructor(columns, changed) {
    this.columns = columns;
    this.changed = changed;
    this.button = document.getElementById("differences");
    this.form = document.getElementById("pair");
    this.place = document.getElementById("difference");
    this.button.addEventListener("click", () => this.toggle());
    this.form.addEventListener("change", () => this.show());
    this.form.addEventListener("submit", (event) => event.preventDefault());
  }

  get isOpen() {
    return this.button.getAttribute("aria-pressed") === "true";
  }

  // Possible with two answers that are there.
  refresh() {
    const ready = this.columns().filter((column) => column.hasText);
    this.button.disabled = ready.length < 2;
    if (ready.length < 2) return this.close();
    for (const [position, select] of [this.form.elements.left, this.form.elements.right].entries()) {
      const chosen = select.value;
      select.replaceChildren(...ready.map((column) => new Option(`${column.letter} · ${column.model}`, column.letter)));
      select.value = ready.some((column) => column.letter === chosen) ? chosen : ready[position].letter;
    }
    if (this.isOpen) this.show();
  }

  toggle() {
    if (this.isOpen) return this.close();
    this.button.setAttribute("aria-pressed", "true");
    this.form.hidden = this.place.hidden = false;
    document.getElementById("columns").hidden = true;
    this.changed();
    this.show();
  }

  close() {
    this.button.setAttribute("aria-pressed", "false");
    this.form.hidden = this.place.hidden = true;
    document.getElementById("columns").hidden = false;
    this.changed();
  }

  async show() {
    const { left, right, only } = this.form.elements;
    const fields = only.checked ? { only: "on" } : {};
    this.wanted = fields; // answers may overtake each other
    for (const [side, select] of [["left", left], ["right", right]]) {
      const column = this.columns().find(({ letter }) => letter === select.value);
      Object.assign(fields, { [side]: column.text, [`${side}_letter`]: column.letter, [`${side}_model`]: column.model });
    }
    const html = await (await post("/playground/difference", fields)).text();
    if (this.wanted === fields) this.place.innerHTML = html; // escaped by the server
  }
}
