// The form: prompt, system prompt, parameters; from what the page starts with, and back to what the API wants.

const NUMBERS = ["temperature", "max_tokens"];

export class AskForm {
  constructor(element, conversation) {
    this.element = element;
    this.conversation = conversation;
    this.otherParams = {};
  }

  fill({ messages, params = {}, fallbacks = false, cache = false }) {
    const { elements } = this.element;
    const rest = [...messages];
    if (rest[0]?.role === "system" && typeof rest[0].content === "string") elements.system.value = rest.shift().content;
    const last = rest.at(-1);
    if (last?.role === "user" && typeof last.content === "string") elements.prompt.value = rest.pop().content;
    this.conversation.set(rest);
    this.otherParams = { ...params };
    for (const name of NUMBERS) {
      elements[name].value = params[name] ?? "";
      delete this.otherParams[name];
    }
    elements.fallbacks.checked = fallbacks;
    elements.cache.checked = cache;
    if (elements.system.value || NUMBERS.some((name) => elements[name].value)) {
      this.element.querySelector(".folded").open = true;
    }
  }

  get prompt() {
    return this.element.elements.prompt.value.trim();
  }

  get messages() {
    const system = this.element.elements.system.value.trim();
    return [
      ...(system ? [{ role: "system", content: system }] : []),
      ...this.conversation.messages,
      ...(this.prompt ? [{ role: "user", content: this.prompt }] : []),
    ];
  }

  get options() {
    const { elements } = this.element;
    const params = { ...this.otherParams };
    for (const name of NUMBERS) if (elements[name].value !== "") params[name] = Number(elements[name].value);
    const options = { params, fallbacks: elements.fallbacks.checked, cache: elements.cache.checked };
    if (elements.timeout_s.value !== "") options.timeout_s = Number(elements.timeout_s.value);
    return options;
  }

  // Why it cannot be sent; "" if it can.
  problem(slots) {
    const last = this.messages.at(-1);
    if (!last || last.role === "system" || last.role === "assistant") return "Write a prompt first.";
    if (slots < 2) return "Choose at least two models to compare.";
    return "";
  }
}
