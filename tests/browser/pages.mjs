// Serves the pages in `page/` to the browsers, with livekit-client as its package ships it.
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createRequire } from "node:module";

const FILES = {
  "/": ["page/index.html", "text/html"],
  "/page.js": ["page/page.js", "text/javascript"],
  "/participant": ["page/participant.html", "text/html"],
  "/participant.mjs": ["page/participant.mjs", "text/javascript"],
  "/commands.mjs": ["../sdk/commands.mjs", "text/javascript"],
  "/livekit-client.js": [createRequire(import.meta.url).resolve("livekit-client"), "text/javascript"],
};

/** Starts; answers the origin of the pages and how to stop. */
export async function servePages() {
  const http = createServer(async (request, answer) => {
    const [file, type] = FILES[request.url] ?? [];
    answer.writeHead(file ? 200 : 404, { "Content-Type": type ?? "text/plain" });
    answer.end(file && (await readFile(new URL(file, import.meta.url))));
  });
  await new Promise((resolve) => http.listen(0, "127.0.0.1", resolve));
  return { origin: `http://127.0.0.1:${http.address().port}`, stop: () => http.close() };
}
