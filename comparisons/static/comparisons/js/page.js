// What every page does: keyboard shortcuts, dialogs, menus, copying, announcements.

import { announce, complain } from "./announce.js";
import { listenForKeys } from "./keys.js";

listenForKeys();

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-opens]");
  if (opener) document.getElementById(opener.dataset.opens)?.showModal();
  const closer = event.target.closest("[data-closes]");
  if (closer) document.getElementById(closer.dataset.closes)?.close();
  const copier = event.target.closest("[data-copies]");
  if (copier) copy(copier);
  closeMenus(event.target);
});

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") closeMenus(null);
});

document.body.addEventListener("htmx:responseError", (event) => {
  complain(`That did not work (status ${event.detail.xhr.status}). Reload the page, then try again.`);
});
document.body.addEventListener("htmx:sendError", () => complain("The gateway does not answer. Try again in a moment."));

// Texts that the server wants to be read out after a partial update.
document.body.addEventListener("htmx:load", (event) => {
  const text = event.detail.elt.dataset?.announce;
  if (text) announce(text);
});

async function copy(button) {
  const target = document.getElementById(button.dataset.copies);
  const text = target ? target.textContent : new URL(button.dataset.copies, location.href).href;
  try {
    await navigator.clipboard.writeText(text);
    announce("Copied.");
    flash(button, "Copied");
  } catch {
    window.prompt("Copy this:", text);
  }
}

function flash(button, text) {
  const label = button.querySelector("[data-label]") ?? button;
  const before = label.textContent;
  if (before === text) return;
  label.textContent = text;
  setTimeout(() => { label.textContent = before; }, 1500);
}

function closeMenus(target) {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(target) || target.closest(".items a, .items button")) menu.open = false;
  }
}
