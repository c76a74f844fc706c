import { expect, test } from "vitest";
import type { User } from "../../api/client";
import { mayActOn } from "./ranks";

const ROLES = ["member", "moderator", "admin", "owner"] as const;

test("nobody acts on an equal or a higher one, and members on nobody", () => {
  const allowed = ROLES.flatMap((mine) =>
    ROLES.filter((theirs) => mayActOn(person(mine), theirs)).map((theirs) => `${mine} on ${theirs}`),
  );
  expect(allowed).toEqual([
    "moderator on member",
    "admin on member",
    "admin on moderator",
    "owner on member",
    "owner on moderator",
    "owner on admin",
  ]);
});

function person(role: User["role"]): User {
  return { id: "u1", username: "Ann", role, created_at: 0 };
}
