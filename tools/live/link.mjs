// Link an object file to a module of WebAssembly that Python in the page loads: link.mjs TOOLS OBJECT OUT SYMBOL...
import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

const [tools, object, out, ...symbols] = process.argv.slice(2);
const { runLLVM } = await import(pathToFileURL(path.join(tools, "bundle.js")));
const options = ["--shared", "--experimental-pic", "--no-entry", "--strip-all", "--allow-undefined"];
const asked = [...options, ...symbols.map((symbol) => `--export=${symbol}`), "in.o", "-o", "out.so"];
const made = await runLLVM(["wasm-ld", ...asked], { "in.o": fs.readFileSync(object) }, { fetchProgress: () => {} });
fs.writeFileSync(out, made["out.so"]);
