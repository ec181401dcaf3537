// The gateway's routes, called as the person who is signed in here.

export class Refused extends Error {}

export async function ask(path, body, signal) {
  return checked(await send(path, JSON.stringify(body), { "Content-Type": "application/json" }, signal));
}

export async function post(path, fields) {
  return checked(await send(path, new URLSearchParams(fields), {}));
}

async function send(path, body, headers, signal) {
  const token = document.querySelector("#ask [name=csrfmiddlewaretoken]").value;
  try {
    return await fetch(path, { method: "POST", body, headers: { ...headers, "X-CSRFToken": token }, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused("The gateway does not answer. Check your connection, then try again.");
  }
}

async function checked(response) {
  if (response.redirected && response.url.includes("/sign-in/")) throw new Refused(SIGNED_OUT);
  if (response.ok) return response;
  if (response.status === 401) throw new Refused(SIGNED_OUT);
  let message = `The gateway answered with status ${response.status}. Try again.`;
  try {
    message = (await response.json()).error.message;
  } catch {
    // not one of the gateway's own errors: the status has to do
  }
  throw new Refused(message);
}

const SIGNED_OUT = "Your session has ended. Open the sign-in page in another tab, sign in, then reload this page.";
