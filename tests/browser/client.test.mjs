// livekit-client in real browsers, without our web app: what any web page that uses it can expect of the server.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { openChromium, openFirefox } from "./browsers.mjs";
import { assertAllHearAll, assertMuteSilences, untilSound, untilSpeechBegins } from "./hearing.mjs";
import { servePages } from "./pages.mjs";
import { accessToken, startServer } from "./server.mjs";
import { startSound } from "./sound.mjs";
import { until } from "./wait.mjs";

let server;
let sound;
let pages;
let people;

before(async () => {
  server = await startServer("client");
  sound = await startSound();
  pages = await servePages();
  people = await Promise.all([openChromium("ada"), openChromium("bob"), openFirefox("fox", sound)]);
});

after(async () => {
  await Promise.all((people ?? []).map((person) => person.close()));
  pages?.stop();
  sound?.stop();
  await server?.stop();
});

for (const [mode, singles] of Object.entries({
  single: [true, true, true],
  dual: [false, false, false],
  mixed: [true, false, true],
})) {
  describe(`two Chromiums and a Firefox, ${mode}`, { timeout: 360_000 }, () => {
    const room = `browsers-${mode}-${process.pid}`;

    test("each hears the words of each", async () => {
      for (const [i, person] of people.entries()) await enter(person, room, singles[i]);
      await assertAllHearAll(people, (person) => person.voice);
    });

    for (const [speaker, listener] of [
      [0, 2],
      [2, 1],
    ]) {
      test(`mute silences ${speaker === 2 ? "Firefox" : "Chromium"} within 200 ms, and unmute ends that`, async () => {
        const [from, to] = [people[speaker], people[listener]];
        await assertMuteSilences(
          to,
          from.voice,
          async () => {
            const at = await from.evaluate(() => {
              window.voice.mute();
              return Date.now();
            });
            await noticed(to, "muted", from.voice, at, 2000);
            return at;
          },
          () => from.evaluate(() => window.voice.speak().then(() => Date.now())),
        );
      });
    }

    test("who speaks is told while it lasts", async () => {
      const bob = people[1];
      await untilSpeechBegins(bob, "ada");
      const begun = Date.now();
      await noticed(bob, "speaking", (who) => who.split(" ").includes("ada"), begun - 800, 2000);
      await noticed(bob, "speaking", (who) => !who.split(" ").includes("ada"), begun + 3000, 10_000);
    });

    test("leaving is seen by the others within a second", async () => {
      const [ada, bob, fox] = people;
      const left = await ada.evaluate(() => {
        const at = Date.now();
        window.voice.leave();
        return at;
      });
      for (const other of [bob, fox]) {
        const at = await noticed(other, "left", "ada", left, 5000);
        assert.ok(at - left <= 1000, `${other.voice} saw it after ${at - left} ms`);
      }
      await untilSound(fox, "bob");
      for (const other of [bob, fox]) await other.evaluate(() => window.voice.leave());
    });

    test("nobody had an error on the console", () => {
      for (const person of people) assert.deepEqual(person.errors, [], person.voice);
    });
  });
}

async function enter(person, room, single) {
  await person.goto(`${pages.origin}/`);
  const token = await accessToken(room, person.voice);
  await person.evaluate(([url, pass, one]) => window.voice.join(url, pass, one), [server.url, token, single]);
  await person.evaluate(() => window.voice.speak());
}

/** Waits until the page has noticed `what` about `who` (a name, or a test of one) since the time `since`; answers when it did. */
async function noticed(person, what, who, since, within) {
  const fits = typeof who === "function" ? who : (name) => name === who;
  const notices = () => person.evaluate(() => window.voice.notices);
  const found = await until(
    `${person.voice} notices '${what}'`,
    within,
    async () => (await notices()).find(([at, kind, name]) => at >= since && kind === what && fits(name)),
    async () => (await notices()).slice(-12),
  );
  return found[0];
}
