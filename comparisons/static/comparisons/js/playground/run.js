// One request to the API, followed to its end: which event goes to which column.

import { ask } from "./api.js";
import { eventsOf } from "./events.js";

const CUT = "The connection ended before the answer did. The history has what came of it.";

// `columns` in the order of the slots. Calls created(comparison) as soon as there is an id, ended(column) for each.
export async function follow(path, body, columns, { signal, created, ended }) {
  const response = await ask(path, { ...body, stream: true, on_disconnect: "cancel" }, signal);
  let done = null;
  for await (const { name, data } of eventsOf(response)) {
    const column = columns[data.slot];
    if (name === "comparison.created") created(data);
    else if (name === "answer.delta") column.add(data);
    else if (name === "answer.done" || name === "answer.error") {
      column.end(data);
      ended(column);
    } else if (name === "comparison.done") done = data;
  }
  if (!done) for (const column of columns) column.stop(CUT);
  return done;
}
