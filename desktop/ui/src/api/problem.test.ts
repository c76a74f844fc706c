import { describe, expect, test } from "vitest";
import { problemFromAnswer, problemOf } from "./problem";

describe("error answers", () => {
  test("carry code, words, field and waiting time", () => {
    const error = { code: "too_many_requests", message: "wait", field: "password", retry_after_seconds: 7 };
    expect(problemFromAnswer(429, { error })).toEqual({
      code: "too_many_requests",
      detail: "wait",
      field: "password",
      retryAfter: 7,
    });
  });

  test("from something other than the server are named as such", () => {
    expect(problemFromAnswer(502, "<html>Bad gateway</html>")).toEqual({
      code: "unexpected_answer",
      detail: "HTTP 502",
    });
    expect(problemFromAnswer(500, undefined).code).toBe("unexpected_answer");
  });

  test("with a code of a later server keep its words", () => {
    expect(problemFromAnswer(409, { error: { code: "moon_phase", message: "wait for it" } })).toEqual({
      code: "unexpected_answer",
      detail: "wait for it",
    });
  });
});

test("a request that reached nobody is a network problem", () => {
  expect(problemOf(new TypeError("Failed to fetch")).code).toBe("network");
});
