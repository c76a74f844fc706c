import { expect, test } from "vitest";
import { parseRoute } from "./route";

test.each([
  ["/", { page: "app" }],
  ["/anything", { page: "app" }],
  ["/setup#code=a-b_c", { page: "setup", code: "a-b_c" }],
  ["/setup?code=abc", { page: "setup", code: "abc" }],
  ["/setup", { page: "setup", code: "" }],
  ["/invite#CODE", { page: "invite", code: "CODE" }],
  ["/invite/#a%2Bb", { page: "invite", code: "a+b" }],
  ["/invite#CODE&fp=ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0", { page: "invite", code: "CODE" }],
  ["/invite#%", { page: "invite", code: "%" }],
])("%s", (address, route) => {
  expect(parseRoute(new URL(address, "http://localhost"))).toEqual(route);
});
