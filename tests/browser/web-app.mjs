// Steps that people take in our web app.
import { until } from "./wait.mjs";

export const PASSWORD = "seven pale lanterns";

export const id = (name) => `[data-testid="${name}"]`;

/** Opens the link that `server` has printed for the first person. */
export async function openSetup(person, server) {
  const link = await until(
    "the set-up link is printed",
    5000,
    () => server.printed().match(/\/setup#code=[\w-]+/)?.[0],
  );
  await person.goto(server.url + link);
}

/** Fills in the form `setup` or `invite`; answers the user id. */
export async function register(person, form) {
  await person.see(id(`${form}-username`));
  await person.fill(id(`${form}-username`), person.voice);
  await person.fill(id(`${form}-password`), PASSWORD);
  await person.click(id(`${form}-submit`));
  await person.see(id("self-mute"));
  return (await ask(person, "/api/auth/me")).id;
}

/** Answers the id of the new channel. */
export async function makeChannel(owner, name) {
  await owner.click(id("channel-create"));
  await owner.see(id("channel-name"));
  await owner.fill(id("channel-name"), name);
  await owner.click(id("channel-save"));
  const made = await until("the channel is listed", 5000, async () => {
    const channels = await ask(owner, "/api/voice/channels");
    return channels.find((one) => one.name === name)?.id;
  });
  await owner.see(id(`channel-${made}`));
  return made;
}

export async function join(person, channel) {
  await person.click(id(`channel-${channel}`));
  await person.see(`${id(`channel-${channel}`)}[aria-current="true"]`);
  await connected(person);
}

/** Waits until the call stands. */
export function connected(person) {
  return person.see(`${id("call-state")}[data-state="connected"]`, 15_000);
}

/** What the page of `person` gets from the API. */
export function ask(person, path) {
  return person.evaluate(async (it) => (await fetch(it)).json(), path);
}
