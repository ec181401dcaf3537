// Say something to people who listen to the page rather than see it; what went wrong, to everybody.

export function announce(text) {
  const place = document.getElementById("announcements");
  if (!place) return;
  place.textContent = "";
  requestAnimationFrame(() => { place.textContent = text; });
}

export function complain(text) {
  const place = document.getElementById("trouble");
  if (!place) return;
  place.textContent = text;
  place.hidden = false;
  setTimeout(() => { place.hidden = true; }, 8000);
}
