// A program that is driven over its pipes: requests {id, person, command, ...} come as JSON lines on standard input; answers
// {id, result} or {id, error} and notices {person, ...} leave as JSON lines on standard output. `piped.py` is the other end.
import { createInterface } from "node:readline";

/** Says one line. */
export const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);

/** Gives every request to `answer`, without waiting for the one before, until the input ends. */
export async function serveLines(answer) {
  for await (const line of createInterface({ input: process.stdin })) {
    const { id, ...request } = JSON.parse(line);
    answer(request).then(
      (result) => say({ id, result: result ?? null }),
      (error) => say({ id, error: `${request.command}: ${error?.stack ?? error}` }),
    );
  }
}
