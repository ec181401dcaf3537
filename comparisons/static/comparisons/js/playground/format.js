// Numbers as the server writes them on the other pages.

export function duration(ms) {
  if (ms == null) return "–";
  if (ms < 1) return "< 1 ms";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60000) return `${(ms / 1000).toFixed(2)} s`;
  const seconds = Math.round(ms / 1000);
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

export function speed(tokensPerSecond) {
  if (!tokensPerSecond) return "–";
  if (tokensPerSecond < 100) return `${tokensPerSecond.toFixed(1)} tok/s`;
  return `${Math.round(tokensPerSecond).toLocaleString("en-US")} tok/s`;
}

export function cost(usd) {
  if (usd >= 1) return `$${usd.toFixed(2)}`;
  return `$${usd.toFixed(6).replace(/\.?0+$/, "")}`;
}

// About what a text takes, until the model has told: four characters a token.
export function tokensIn(text) {
  return Math.ceil(text.length / 4);
}

export function letterOf(position) {
  return String.fromCharCode(65 + position);
}
