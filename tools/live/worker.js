// The model's side: Python, given its parts, answers with pictures.  No host is asked for anything.
// A classic worker, because Chromium starts none of the other kind from a file.  Pyodide refuses a classic one by trying
// importScripts, and needs no more of the other kind than import(), which a classic one has too.
self.importScripts = () => { throw new TypeError("there is none here"); };

const HOME = "https://gfpmodel.invalid/"; // a name that cannot be asked: what Pyodide fetches from it are the parts
const TYPES = { wasm: "application/wasm" };
let live;

async function unpacked(part) {
  return new Response(new Blob([part]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}

async function boot(packed) {
  const parts = {};
  for (const [name, part] of Object.entries(packed)) parts[name] = await unpacked(part);
  self.fetch = async (url) => {
    const name = String(url).split("/").pop();
    if (!(name in parts)) throw new TypeError(`${name} is not one of the parts`);
    return new Response(parts[name], { headers: { "Content-Type": TYPES[name.split(".").pop()] ?? "application/octet-stream" } });
  };
  const module = (name) => import(URL.createObjectURL(new Blob([parts[name]], { type: "text/javascript" })));
  const [{ loadPyodide }, { default: createPyodideModule }] = await Promise.all([module("pyodide.mjs"), module("pyodide.asm.mjs")]);
  const [abi_version, platform, python, version] = ["2026_0", "emscripten_5_0_0", "3.14.2", "314.0.7"];
  const pyodide = await loadPyodide({
    indexURL: HOME,
    packageBaseUrl: HOME,
    createPyodideModule,
    lockFileContents: { info: { abi_version, arch: "wasm32", platform, python, version }, packages: {} },
  });
  pyodide.unpackArchive(new Uint8Array(parts["gfp.zip"]), "zip", { extractDir: "/gfp" });
  pyodide.runPython("import sys; sys.path.insert(0, '/gfp')");
  live = pyodide.pyimport("gfpmodel.show.live");
}

let booted;

self.onmessage = async ({ data: { id, parts, picture, values } }) => {
  try {
    if (parts) booted = boot(parts);
    await booted; // who asks while Python starts waits for it
    const answer = parts ? {} : JSON.parse(live.answer_json(picture, JSON.stringify(values)));
    self.postMessage({ id, ...answer });
  } catch (error) {
    self.postMessage({ id, failed: String(error.message ?? error).trim().split("\n").pop() });
  }
};
