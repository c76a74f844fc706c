import type { User } from "../../api/client";

type Role = User["role"];

const RANK: Record<Role, number> = { member: 0, moderator: 1, admin: 2, owner: 3 };

/** Whether somebody keeps order at all. */
export function moderates(user: User): boolean {
  return RANK[user.role] >= RANK.moderator;
}

/** Whether `me` may act on somebody of this role: moderators and above, on those below them. */
export function mayActOn(me: User, role: Role): boolean {
  return moderates(me) && RANK[me.role] > RANK[role];
}
