// A sound server with one silent loudspeaker, since Firefox processes no sound on a machine that has no device for it.
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "./wait.mjs";

/** Starts it; answers its address for PULSE_SERVER and how to stop it. */
export async function startSound() {
  const folder = mkdtempSync(join(tmpdir(), "banter-sound-"));
  const socket = join(folder, "native");
  const server = spawn(
    "pulseaudio",
    [
      ...["-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", "--disable-shm=yes"],
      // With rewinds a null sink works in blocks of two seconds.
      "--load=module-null-sink sink_name=speaker rate=48000 norewinds=1",
      `--load=module-native-protocol-unix socket=${socket} auth-anonymous=1`,
    ],
    { stdio: "ignore", env: { ...process.env, HOME: folder, XDG_RUNTIME_DIR: folder } },
  );
  await until("the sound server listens", 10_000, () => existsSync(socket));
  return {
    address: `unix:${socket}`,
    stop() {
      server.kill();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
