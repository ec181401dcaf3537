// j and k walk through the list; Enter opens, as on any link.

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || !["j", "k"].includes(event.key)) return;
  if (event.target.closest("input, textarea, select, [contenteditable]") || document.querySelector("dialog[open]")) return;
  const rows = [...document.querySelectorAll(".item .open")];
  const here = rows.indexOf(document.activeElement);
  const next = event.key === "j" ? Math.min(here + 1, rows.length - 1) : Math.max(here - 1, 0);
  rows[next]?.focus();
  rows[next]?.closest(".item").scrollIntoView({ block: "nearest" });
});

// Fields that are empty stay out of the address.
document.body.addEventListener("htmx:configRequest", (event) => {
  const { formData } = event.detail;
  for (const [name, value] of [...formData.entries()]) if (!value) formData.delete(name);
});
