/** Makes the compiler prove that a `switch` covers its union. */
export function never(value: never): never {
  throw new Error(`unhandled case: ${JSON.stringify(value)}`);
}
