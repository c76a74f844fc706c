/**
 * Waits until `condition` answers something true, and answers that. Errors count as "not yet".
 * Past `within` milliseconds it throws, with what `seen` tells about the last look. It looks `every` so many milliseconds.
 */
export async function until(what, within, condition, seen = async () => undefined, every = 25) {
  const deadline = performance.now() + within;
  for (;;) {
    let failure;
    try {
      const answer = await condition();
      if (answer) return answer;
    } catch (error) {
      failure = error;
    }
    if (performance.now() > deadline) {
      const last = await Promise.resolve(seen()).catch(String);
      throw new Error(`not within ${within} ms: ${what}; seen: ${JSON.stringify(last)}; ${failure ?? ""}`);
    }
    await pause(every);
  }
}

export const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
