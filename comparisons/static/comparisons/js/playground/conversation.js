// What was said before the prompt. Messages are kept as they are; what is no text is named by its kind.

export class Conversation {
  constructor(element) {
    this.element = element;
    this.messages = [];
  }

  set(messages) {
    this.messages = messages;
    this.element.hidden = messages.length === 0;
    this.element.replaceChildren(...messages.map(line));
    this.element.scrollTop = this.element.scrollHeight;
  }
}

function line({ role, content }) {
  const item = document.createElement("li");
  const who = document.createElement("span");
  who.className = "label";
  who.textContent = role;
  const said = document.createElement("div");
  said.className = "plain";
  said.textContent = textOf(content);
  item.append(who, said);
  return item;
}

export function textOf(content) {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return content == null ? "" : JSON.stringify(content);
  return content.map((part) => part?.text ?? `[${part?.type ?? "part"}]`).join("\n");
}
