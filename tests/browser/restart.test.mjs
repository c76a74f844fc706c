// A killed server that is started again: calls in the web app come back by themselves.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { openChromium, openFirefox } from "./browsers.mjs";
import { lastSound, untilSound } from "./hearing.mjs";
import { startServer } from "./server.mjs";
import { startSound } from "./sound.mjs";
import { until } from "./wait.mjs";
import { ask, connected, id, join, makeChannel, openSetup, register } from "./web-app.mjs";

const skip = process.env.BANTER_TEST_SERVER_URL ? "needs a server that it may kill" : false;
/** Milliseconds from the kill until all is as before, at the most. Mostly it takes a few seconds. */
const LIMIT = 20_000;

describe("a call in the web app when its server is killed", { skip, timeout: 240_000 }, () => {
  let server;
  let sound;
  let eve;
  let kit;
  let people = [];
  let channel;
  /** User ids by name. */
  const ids = {};
  /** When the pages were loaded, by name. */
  const loaded = {};

  before(async () => {
    server = await startServer("restart");
    sound = await startSound();
    people = await Promise.all([openChromium("eve"), openFirefox("kit", sound)]);
    [eve, kit] = people;

    await openSetup(eve, server);
    ids.eve = await register(eve, "setup");
    channel = await makeChannel(eve, "Lobby");
    const [invite] = (await server.run("invite", "create")).match(/\/invite#\S+/);
    await kit.goto(server.url + invite);
    ids.kit = await register(kit, "invite");
    for (const person of people) {
      await join(person, channel);
      loaded[person.voice] = await person.evaluate(() => performance.timeOrigin);
      await watchForTwins(person);
    }
  });

  after(async () => {
    await Promise.all(people.map((person) => person.close()));
    sound?.stop();
    await server?.stop();
  });

  const row = (person, state = "") => `li${id(`person-${ids[person.voice]}`)}${state}`;
  /** Waits until each has heard the other since the time `since`; answers when both had. */
  const hearEachOther = async (since) => {
    const heard = [untilSound(eve, ids.kit, LIMIT, since), untilSound(kit, ids.eve, LIMIT, since)];
    return Math.max(...(await Promise.all(heard)));
  };

  test("both come back and hear each other again, and nobody is there twice", async () => {
    await hearEachOther(Date.now());

    const killed = Date.now();
    await server.killAndRestart();
    const ready = Date.now();
    const heard = await hearEachOther(ready);
    console.log(`server back after ${ready - killed} ms, both heard ${heard - ready} ms later`);
    await assertEverybodyOnce(killed);
    await hearEachOther(Date.now());
    assert.ok(heard - killed <= LIMIT);
  });

  test("who was muted or deafened stays so, for everybody", async () => {
    await eve.click(id("self-mute"));
    await kit.click(id("self-deafen"));
    const chosen = [row(eve, '[data-muted="true"][data-deafened="false"]'), row(kit, '[data-deafened="true"]')];
    for (const person of people) for (const it of chosen) await person.see(it, 2000);

    const killed = Date.now();
    await server.killAndRestart();
    const ready = Date.now();
    await assertEverybodyOnce(killed);
    for (const person of people) for (const it of chosen) await person.see(it, 5000);
    assert.ok((await lastSound(eve, ids.kit)) < ready, "eve heard kit");
    assert.ok((await lastSound(kit, ids.eve)) < ready, "kit heard eve");

    const unmuted = await eve.click(id("self-mute"));
    await untilSound(kit, ids.eve, LIMIT, unmuted);
    assert.ok(!(await plays(kit)), "deafened, and yet it plays");
    await kit.click(id("self-deafen"));
    await hearEachOther(unmuted);
    assert.ok(await plays(kit));
  });

  /** Waits until everybody is in the call by a session made since the time `since`. Nobody was or is there twice, on the same page. */
  async function assertEverybodyOnce(since) {
    const everybody = Object.values(ids).sort();
    const inside = async () => (await ask(eve, "/api/voice/channels"))[0].participants;
    await until(
      "the server lists both anew",
      LIMIT,
      async () => (await inside()).filter(({ joined_at }) => joined_at >= since).length === everybody.length,
      inside,
    );
    assert.deepEqual((await inside()).map(({ user_id }) => user_id).sort(), everybody);
    for (const person of people) {
      await connected(person);
      for (const other of people) await person.see(row(other), 5000);
      assert.deepEqual(await shown(person), everybody, `shown to ${person.voice}`);
      assert.deepEqual(await person.evaluate(() => window.twins), [], `seen by ${person.voice}`);
      assert.equal(await person.evaluate(() => performance.timeOrigin), loaded[person.voice], "not the same page");
    }
  }
});

/** Whether what arrives reaches the loudspeaker. */
function plays(person) {
  return person.evaluate(() => [...document.querySelectorAll("audio[data-user-id]")].some((it) => !it.muted));
}

/** User ids in the channel list, as often as they are there. */
function shown(person) {
  return person.evaluate(() =>
    [...document.querySelectorAll('li[data-testid^="person-"]')].map((it) => it.dataset.testid.slice(7)).sort(),
  );
}

/** Has the page note whoever is in the channel list twice at a time, as `twins`. */
function watchForTwins(person) {
  return person.evaluate(() => {
    window.twins = [];
    new MutationObserver(() => {
      const names = [...document.querySelectorAll('li[data-testid^="person-"]')].map((it) => it.dataset.testid);
      window.twins.push(...names.filter((name, i) => names.indexOf(name) < i));
    }).observe(document.body, { childList: true, subtree: true });
  });
}
