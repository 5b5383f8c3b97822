// Run a file of Python inside Pyodide, as the reader's browser would: inside.mjs PYODIDE FILE NAME=FOLDER...
// Each folder of this machine is /NAME there.  A fault is one line of Python's, and ends with status 1.
import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

const [pyodide, file, ...folders] = process.argv.slice(2);
const { loadPyodide } = await import(pathToFileURL(path.join(pyodide, "pyodide.mjs")));
const info = { abi_version: "2026_0", arch: "wasm32", platform: "emscripten_5_0_0", python: "3.14.2", version: "314.0.7" };
const python = await loadPyodide({ indexURL: `${path.resolve(pyodide)}/`, lockFileContents: { info, packages: {} } });
for (const pair of folders) {
  const [name, folder] = pair.split("=");
  python.mountNodeFS(`/${name}`, path.resolve(folder));
}
try {
  python.runPython(fs.readFileSync(file, "utf8"), { filename: file });
} catch (error) {
  console.error(error.message);
  process.exit(1);
}
