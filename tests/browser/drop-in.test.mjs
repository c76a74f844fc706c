// The example in examples/drop-in, with a banter that has a LiveKit server's configuration.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { openChromium } from "./browsers.mjs";
import { assertHearsSpeechOf } from "./hearing.mjs";
import { startServer } from "./server.mjs";
import { until } from "./wait.mjs";

const EXAMPLE = fileURLToPath(new URL("../../examples/drop-in/", import.meta.url));

let server;
let example;
let people;

before(async () => {
  const port = await freePort();
  const config = join(tmpdir(), `banter-drop-in-${process.pid}.yaml`);
  const yaml = readFileSync(join(EXAMPLE, "livekit.yaml"), "utf8").replace("127.0.0.1:3000", `127.0.0.1:${port}`);
  writeFileSync(config, yaml);
  server = await startServer("drop-in", ["--livekit-config", config]);
  example = await startExample(port, server.url.replace("http", "ws"));
  people = await Promise.all([openChromium("ada"), openChromium("bob")]);
});

after(async () => {
  await Promise.all((people ?? []).map((person) => person.close()));
  example?.kill();
  await server?.stop();
});

test("two pages hear each other, and the backend knows of it", { timeout: 120_000 }, async () => {
  for (const person of people) {
    await person.goto(example.url);
    await person.fill("[name=room]", "hall");
    await person.fill("[name=identity]", person.voice);
    await person.click("button");
  }
  const [ada, bob] = people;
  await Promise.all([assertHearsSpeechOf(ada, "bob", "bob"), assertHearsSpeechOf(bob, "ada", "ada")]);

  const rooms = async () => (await fetch(`${example.url}rooms`)).json();
  await until("the room is listed", 10_000, async () => (await rooms())[0]?.numParticipants === 2, rooms);
  assert.equal((await rooms())[0].name, "hall");

  await ada.close();
  const events = async () => (await fetch(`${example.url}events`)).json();
  const told = (what, who) => async () => (await events()).some(([event, name]) => event === what && name === who);
  await until("the webhooks tell who left", 30_000, told("participant_left", "ada"), events);
  const all = (await events()).map((event) => event.join(" "));
  for (const expected of [
    "room_started hall",
    "participant_joined ada",
    "participant_joined bob",
    "track_published ada",
    "track_published bob",
    "track_unpublished ada",
  ]) {
    assert.ok(all.includes(expected), `${expected} is missing: ${all}`);
  }
});

async function startExample(port, url) {
  const env = { ...process.env, PORT: String(port), LIVEKIT_URL: url };
  const backend = spawn(process.execPath, ["server.mjs"], { cwd: EXAMPLE, env, stdio: ["ignore", "pipe", "inherit"] });
  let printed = "";
  backend.stdout.on("data", (bytes) => {
    printed += bytes;
  });
  await until("the example listens", 10_000, () => printed.includes("http://"));
  return { url: `http://127.0.0.1:${port}/`, kill: () => backend.kill() };
}

async function freePort() {
  const probe = createServer();
  await new Promise((resolve) => probe.listen(0, "127.0.0.1", resolve));
  const { port } = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  return port;
}
