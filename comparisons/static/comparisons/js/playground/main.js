// The playground: chips choose columns, Run asks all of them at once, and what comes of it can be read, compared,
// continued, retried and filed.

import { announce } from "../announce.js";
import { Refused, post } from "./api.js";
import { Column } from "./column.js";
import { Conversation, textOf } from "./conversation.js";
import { Difference } from "./difference.js";
import { AskForm } from "./form.js";
import { letterOf } from "./format.js";
import { follow } from "./run.js";

const byId = (id) => document.getElementById(id);

class Playground {
  constructor() {
    this.columns = [];
    this.view = "rendered";
    this.running = new Set(); // an AbortController for every request under way
    this.most = Number(byId("ask").dataset.mostSlots);
    this.form = new AskForm(byId("ask"), new Conversation(byId("conversation")));
    this.difference = new Difference(() => this.columns, () => this.press());
    this.listen();
    const start = JSON.parse(byId("start").textContent);
    this.form.fill(start);
    for (const slot of start.slots) this.add(slot);
    // A comparison run again, unchanged, becomes the successor of the first.
    this.again = start.from && { from: start.from, messages: JSON.stringify(this.form.messages) };
    this.toggleRunning(); // until here the button was off: without this script it would only load the page anew
    if (!this.form.prompt) byId("prompt").focus();
  }

  listen() {
    byId("ask").addEventListener("submit", (event) => { event.preventDefault(); this.run(); });
    byId("stop").addEventListener("click", () => this.stop());
    byId("restart").addEventListener("click", () => this.restart());
    byId("save").addEventListener("submit", (event) => { event.preventDefault(); this.save(); });
    byId("next-view").addEventListener("click", () => this.show(this.view === "text" ? "rendered" : "text"));
    byId("find")?.addEventListener("input", ({ target }) => find(target.value));
    byId("offers").addEventListener("change", ({ target }) => this.choose(target));
    for (const button of document.querySelectorAll("[data-view]")) {
      button.addEventListener("click", () => this.show(button.dataset.view));
    }
    document.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.target.closest("#save, dialog")) return;
      event.preventDefault();
      this.run();
    });
  }

  // ---- Columns

  choose(chip) {
    if (!chip.matches("[type=checkbox]")) return;
    this.complain("");
    if (chip.checked) this.add({ model: chip.value });
    else for (const column of this.columns.filter(({ model }) => model === chip.value)) this.remove(column);
  }

  add(slot, after = this.columns.length - 1) {
    if (this.columns.length < this.most) {
      const column = new Column(slot, priceOf(slot.model), {
        retry: (one) => this.retry(one),
        continue: (one) => this.goOn(one),
        duplicate: (one) => this.add(one.slot, this.columns.indexOf(one)),
        remove: (one) => this.remove(one),
      });
      this.columns.splice(after + 1, 0, column);
    } else this.complain(`A comparison has up to ${this.most} columns. Remove one first.`);
    this.arrange();
  }

  remove(column) {
    if (column.isRunning) this.complain("Stop the run first, then remove the column.");
    else this.columns = this.columns.filter((other) => other !== column);
    this.arrange();
  }

  arrange() {
    byId("columns").replaceChildren(...this.columns.map((column) => column.element));
    for (const chip of byId("offers").querySelectorAll("[type=checkbox]")) {
      chip.checked = this.columns.some(({ model }) => model === chip.value);
    }
    this.columns.forEach((column, position) => { column.letter = letterOf(position); });
    byId("chosen").textContent = `${this.columns.length} of up to ${this.most} chosen`;
    this.difference.refresh();
  }

  // ---- Running

  async run() {
    if (this.running.size) return;
    const problem = this.form.problem(this.columns.length);
    this.complain(problem);
    if (problem) return;
    byId("save").hidden = true;
    this.difference.close();
    this.asked = this.form.messages;
    const columns = [...this.columns];
    const models = columns.map((column) => column.slot);
    const isAgain = this.again?.messages === JSON.stringify(this.asked);
    const path = isAgain ? `/v1/comparisons/${this.again.from}/rerun` : "/compare_models";
    const body = { models, ...this.form.options, ...(isAgain ? {} : { messages: this.asked }) };
    const done = await this.follow(path, body, columns, (comparison) => {
      this.comparison = comparison;
      columns.forEach((column, slot) => { column.compareAddress = `/playground/?from=${comparison.id}&slot=${slot}`; });
    });
    if (this.comparison) this.offerToSave(done);
  }

  async retry(column) {
    if (this.running.size || !this.comparison) return;
    const path = `/v1/comparisons/${this.comparison.id}/rerun`;
    let address = "";
    await this.follow(path, { models: [column.slot] }, [column], ({ id }) => {
      address = `/comparisons/${id}`;
      column.compareAddress = `/playground/?from=${id}&slot=0`;
    });
    if (address) column.retriedAs(address);
  }

  async follow(path, body, columns, created) {
    const controller = new AbortController();
    this.running.add(controller);
    this.toggleRunning();
    const text = this.asked.map(({ content }) => textOf(content)).join("\n");
    for (const column of columns) column.start(text);
    const clock = setInterval(() => columns.forEach((column) => column.tick()), 100);
    try {
      return await follow(path, body, columns, { signal: controller.signal, created, ended: (one) => this.ended(one) });
    } catch (error) {
      this.broke(error, columns);
      return null;
    } finally {
      clearInterval(clock);
      this.running.delete(controller);
      this.toggleRunning();
      this.difference.refresh();
      for (const column of columns) if (column.state === "interrupted") this.showOne(column);
    }
  }

  ended(column) {
    announce(`${column.letter}: ${column.part("status").textContent}.`);
    this.showOne(column);
    this.difference.refresh();
  }

  broke(error, columns) {
    if (error.name === "AbortError") return columns.forEach((column) => column.stop());
    for (const column of columns) if (column.isRunning) column.clear();
    if (!(error instanceof Refused)) throw error;
    this.complain(error.message);
  }

  stop() {
    for (const controller of this.running) controller.abort();
    announce("Stopped.");
  }

  toggleRunning() {
    const isRunning = this.running.size > 0;
    byId("run").disabled = isRunning;
    byId("stop").hidden = byId("stop").disabled = !isRunning;
    byId("restart").hidden = isRunning || this.form.conversation.messages.length === 0;
  }

  // ---- Afterwards

  show(view) {
    this.view = view;
    this.difference.close();
    for (const column of this.columns) this.showOne(column);
  }

  press() {
    for (const button of document.querySelectorAll("[data-view]")) {
      button.setAttribute("aria-pressed", String(button.dataset.view === this.view && !this.difference.isOpen));
    }
  }

  async showOne(column) {
    try {
      await column.show(this.view);
    } catch (error) {
      if (!(error instanceof Refused)) throw error; // the plain text is there already
    }
  }

  goOn(column) {
    if (this.running.size) return;
    const said = this.asked.filter(({ role }, position) => position > 0 || role !== "system");
    this.form.conversation.set([...said, { role: "assistant", content: column.text }]);
    for (const one of this.columns) one.clear();
    this.comparison = this.again = null;
    byId("save").hidden = true;
    this.difference.refresh();
    this.toggleRunning();
    byId("prompt").value = "";
    byId("prompt").focus();
    announce(`The conversation continues from ${column.letter}. Write the next prompt.`);
  }

  restart() {
    this.form.conversation.set([]);
    this.again = null;
    this.toggleRunning();
    byId("prompt").focus();
  }

  offerToSave(done) {
    const link = document.createElement("a");
    link.href = `/comparisons/${this.comparison.id}`;
    link.textContent = "Open this comparison";
    const how = done ? "" : " It was stopped; what came of it is kept.";
    byId("stored").replaceChildren(link, ` to vote, write notes, share or export.${how}`);
    byId("save").elements.title.value = this.comparison.title ?? "";
    byId("save").elements.tags.value = (this.comparison.tags ?? []).join(", ");
    byId("saved").textContent = "";
    byId("save").hidden = false;
  }

  async save() {
    const { title, tags } = byId("save").elements;
    const page = `/comparisons/${this.comparison.id}`;
    try {
      await post(`${page}/title`, { title: title.value });
      await post(`${page}/tags`, { all: tags.value });
      byId("saved").textContent = "Saved.";
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      byId("saved").textContent = error.message;
    }
  }

  complain(message) {
    byId("problem").textContent = message;
    byId("problem").hidden = !message;
  }
}

function priceOf(model) {
  const chip = [...byId("offers").querySelectorAll("[type=checkbox]")].find(({ value }) => value === model);
  return { input: Number(chip?.dataset.inputPrice ?? 0), output: Number(chip?.dataset.outputPrice ?? 0) };
}

function find(text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  for (const chip of document.querySelectorAll(".chip")) {
    chip.hidden = !words.every((word) => chip.dataset.name.includes(word)) && !chip.querySelector(":checked");
  }
}

if (byId("ask")) new Playground();
