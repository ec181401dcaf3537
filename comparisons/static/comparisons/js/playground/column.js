// One column: a model, its settings, and its answer while and after it comes. Text of models is only ever text here;
// HTML comes from the server, which has made it safe.

import { post } from "./api.js";
import { cost, duration, speed, tokensIn } from "./format.js";

export class Column {
  // callbacks: {retry, duplicate, remove, goOn}, each called with the column
  constructor(slot, price, callbacks) {
    this.model = slot.model;
    this.price = price;
    this.element = document.getElementById("column").content.firstElementChild.cloneNode(true);
    this.params = { ...slot.params };
    this.element.querySelector("h2").textContent = slot.model;
    this.element.querySelector("h2").title = slot.model;
    for (const field of this.element.querySelectorAll("[data-own]")) {
      const name = field.dataset.own;
      field.value = (name === "label" ? slot.label : this.params[name]) ?? "";
      if (name !== "label") delete this.params[name];
    }
    this.element.addEventListener("click", (event) => {
      const action = event.target.closest("[data-do]")?.dataset.do;
      if (action) callbacks[action](this);
    });
    this.clear();
  }

  part(name) {
    return this.element.querySelector(`[data-part="${name}"]`);
  }

  set letter(letter) {
    this.element.querySelector(".letter").textContent = letter;
    this.element.setAttribute("aria-label", `Column ${letter}`);
  }

  get letter() {
    return this.element.querySelector(".letter").textContent;
  }

  // As the API wants it: {model, label, params}.
  get slot() {
    const slot = { model: this.model };
    const params = { ...this.params };
    for (const field of this.element.querySelectorAll("[data-own]")) {
      if (field.value === "") continue;
      if (field.dataset.own === "label") slot.label = field.value;
      else params[field.dataset.own] = Number(field.value);
    }
    if (Object.keys(params).length) slot.params = params;
    return slot;
  }

  get isRunning() {
    return this.state === "running";
  }

  get hasText() {
    return this.text !== "" && !this.isRunning;
  }

  clear() {
    this.text = "";
    this.state = "new";
    this.entry = null;
    this.element.classList.remove("running");
    for (const name of ["status", "answer", "error", "retried"]) this.part(name).hidden = true;
    for (const choice of [".metrics", ".thoughts", "footer"]) this.element.querySelector(choice).hidden = true;
    this.part("thoughts").textContent = "";
    this.offer(false);
  }

  start(promptText) {
    this.clear();
    this.state = "running";
    this.began = performance.now();
    this.first = null;
    this.promptTokens = tokensIn(promptText);
    this.element.classList.add("running");
    this.element.querySelector(".own").open = false;
    this.element.querySelector(".metrics").hidden = false;
    this.part("answer").hidden = false;
    this.part("answer").className = "answer plain";
    this.part("answer").textContent = "";
    this.part("resolved").textContent = "–";
    this.part("speed").textContent = "–";
    this.part("first").textContent = "–";
    this.say("running", "Running");
    this.tick();
  }

  add({ delta = "", reasoning = "" }) {
    this.first ??= performance.now() - this.began;
    this.text += delta;
    if (delta) this.part("answer").append(delta);
    if (reasoning) {
      this.element.querySelector(".thoughts").hidden = false;
      this.part("thoughts").append(reasoning);
    }
  }

  // Time, tokens and cost as far as they can be known before the model has told.
  tick() {
    if (!this.isRunning) return;
    const tokens = tokensIn(this.text);
    const spent = (this.promptTokens * this.price.input + tokens * this.price.output) / 1e6;
    this.part("first").textContent = this.first === null ? "–" : duration(this.first);
    this.part("total").textContent = duration(performance.now() - this.began);
    this.part("tokens").textContent = `~${this.promptTokens} → ~${tokens}`;
    this.part("cost").textContent = `~${cost(spent)}`;
  }

  // The API's entry of an answer, whole or failed.
  end(entry) {
    this.entry = entry;
    this.state = entry.status;
    this.element.classList.remove("running");
    if (entry.content) this.text = entry.content;
    this.part("answer").textContent = this.text;
    this.part("answer").hidden = !this.text;
    this.measure(entry);
    this.say(entry.status, { ok: "Answered", interrupted: "Stopped" }[entry.status] ?? "Failed");
    if (entry.error) this.fail(entry.error.message);
    this.offer(true);
  }

  measure({ metrics, usage, cost_usd: usd, resolved_model: resolved }) {
    this.part("first").textContent = duration(metrics.ttft_ms);
    this.part("total").textContent = duration(metrics.latency_ms);
    this.part("speed").textContent = speed(metrics.output_tokens_per_s);
    this.part("tokens").textContent = usage ? `${usage.prompt_tokens ?? 0} → ${usage.completion_tokens ?? 0}` : "–";
    this.part("cost").textContent = cost(Number(usd ?? 0));
    this.part("resolved").textContent = resolved ?? "–";
    this.part("resolved").title = resolved ?? "";
  }

  // Ended without a word from the API: stopped here, or cut off.
  stop(message) {
    if (!this.isRunning) return;
    this.tick();
    this.state = "interrupted";
    this.element.classList.remove("running");
    this.say("interrupted", "Stopped");
    if (message) this.fail(message);
    this.offer(true);
  }

  fail(message) {
    this.part("error").textContent = message;
    this.part("error").hidden = false;
  }

  say(status, text) {
    const place = this.part("status");
    place.className = `status ${status}`;
    place.textContent = text;
    place.hidden = false;
  }

  // What can be done with an answer that is there.
  offer(isThere) {
    this.element.querySelector("footer").hidden = !isThere;
    for (const button of this.element.querySelectorAll("[data-do=retry]")) button.hidden = !isThere;
    for (const button of this.element.querySelectorAll("[data-do=continue]")) button.hidden = !isThere || !this.text;
    for (const link of this.element.querySelectorAll("[data-part=compare]")) link.hidden = !isThere || !link.href;
  }

  set compareAddress(address) {
    for (const link of this.element.querySelectorAll("[data-part=compare]")) link.href = address;
  }

  retriedAs(address) {
    const link = document.createElement("a");
    link.href = address;
    link.textContent = "its own comparison";
    this.part("retried").replaceChildren("Asked again, in ", link, ".");
    this.part("retried").hidden = false;
  }

  async show(view) {
    const place = this.part("answer");
    if (this.isRunning || !this.text) return;
    if (view !== "rendered") {
      place.className = "answer plain";
      place.textContent = this.text;
      return;
    }
    const text = this.text;
    const html = await (await post("/playground/rendered", { text })).text();
    if (text !== this.text || this.isRunning) return;
    place.className = "answer prose";
    place.innerHTML = html; // made safe by the server (comparisons/markdown.py)
  }
}
