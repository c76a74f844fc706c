// The server under test: a banter of the tests' own, or one named by BANTER_TEST_SERVER_URL (see tests/sdk/server.py).
import { execFile, spawn } from "node:child_process";
import { createWriteStream, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { AccessToken } from "livekit-server-sdk";
import { until } from "./wait.mjs";

const PROJECT = join(dirname(fileURLToPath(import.meta.url)), "../..");
const PROGRAM = process.env.BANTER_PROGRAM ?? join(PROJECT, "target/debug/banter");

/** Where tests leave logs and recordings. */
export const RESULTS = join(PROJECT, "test-results");

/** An access token to join `room`, signed with the development key pair. */
export async function accessToken(room, identity) {
  const token = new AccessToken("devkey", "secret", { identity, name: identity });
  token.addGrant({ roomJoin: true, room });
  return token.toJwt();
}

/** Starts a server: answers its address, what it has printed so far, and how to end it. Without `flags` it is in development. */
export async function startServer(name, flags = ["--dev"]) {
  const elsewhere = process.env.BANTER_TEST_SERVER_URL;
  if (elsewhere) return { url: elsewhere, isBanter: false, printed: () => "", stop: async () => {} };

  const folder = mkdtempSync(join(tmpdir(), "banter-test-"));
  mkdirSync(RESULTS, { recursive: true });
  const data = join(folder, "data");
  const log = createWriteStream(join(RESULTS, `server-${name}.log`));
  let printed = "";
  const launch = async (wanted) => {
    const arguments_ = ["serve", ...flags, "--data-dir", data, "--port", String(wanted), "--rtc-tcp-port", "0"];
    const server = spawn(PROGRAM, arguments_, { stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [server.stdout, server.stderr]) {
      stream.on("data", (bytes) => {
        printed += bytes;
        log.write(bytes);
      });
    }
    const ended = new Promise((resolve) => server.on("exit", (code, signal) => resolve(code ?? signal)));
    const port = await until("the server is ready", 20_000, async () => {
      if (server.exitCode !== null) throw new Error(`banter ended with status ${server.exitCode}\n${printed}`);
      const { pid, http } = JSON.parse(readFileSync(join(data, "ports.json"), "utf8"));
      // A folder that was in use before holds the file of the earlier run.
      return pid === server.pid && (await fetch(`http://127.0.0.1:${http}/readyz`)).ok && http;
    });
    return { server, ended, port };
  };
  let running = await launch(0);
  const { port } = running;

  return {
    url: `http://127.0.0.1:${port}`,
    isBanter: true,
    printed: () => printed,
    /** Runs the program beside the server, as an operator would. */
    run: (...args) =>
      new Promise((resolve, reject) =>
        execFile(PROGRAM, [...args, "--data-dir", data], (error, out) => (error ? reject(error) : resolve(out))),
      ),
    /** Ends it without a chance to say so to anybody, and starts it again at once, with the same port and data. */
    async killAndRestart() {
      running.server.kill("SIGKILL");
      await running.ended;
      running = await launch(port);
    },
    async stop() {
      running.server.kill("SIGTERM");
      const status = await running.ended;
      rmSync(folder, { recursive: true, force: true });
      if (status !== 0) throw new Error(`banter ended with status ${status}\n${printed.slice(-4000)}`);
      if (printed.includes("panicked")) throw new Error(`banter panicked\n${printed.slice(-4000)}`);
    },
  };
}
