// Questions of the exercises are answered in the page: a word is right if its sum is (gfpmodel/exercises.py, sum_of).
(() => {
  function sum(text) {
    return new TextEncoder().encode(text).reduce((found, byte) => Math.imul(found ^ byte, 0x01000193) >>> 0, 0x811c9dc5);
  }

  const fields = (form) => [...form.querySelectorAll("[data-sum]")];
  const right = (field, word) => sum(field.dataset.salt + word.toLowerCase()) === Number(field.dataset.sum);
  const words = (field) => (field.options ? [...field.options].map((option) => option.text) : Array.from({ length: 5000 }, (_, n) => String(n)));

  function check(form, say) {
    const all = fields(form);
    const wrong = all.filter((field) => !right(field, field.value.trim()));
    for (const field of all) field.setAttribute("aria-invalid", wrong.includes(field));
    const [first] = wrong;
    say(first ? `${all.length - wrong.length} of ${all.length} right; look again at ${first.parentElement.firstChild.textContent.trim()}: ${first.dataset.hint}` : "right");
  }

  function solve(form, say) {
    for (const field of fields(form)) {
      field.value = words(field).find((word) => right(field, word)) ?? "";
      field.removeAttribute("aria-invalid");
    }
    say("These are the answers that the model works out.");
  }

  // where the model runs in the page (live.js) it asks the same of another seed
  async function another(form, said, say) {
    const wanted = { ...said, seed: said.seed + 1 };
    const { html, fault, failed } = await gfpLive.ask({ picture: "question", values: wanted });
    if (!form.isConnected) return; // asked twice
    if (html === undefined) return say(fault ?? failed ?? "stopped");
    form.insertAdjacentHTML("afterend", html);
    const next = form.nextElementSibling;
    form.remove();
    dress(next)(`This is the question of seed ${wanted.seed}.`);
    next.querySelector(".gfp-another").focus();
  }

  function button(text, pressed, className = "") {
    const made = Object.assign(document.createElement("button"), { type: "button", textContent: text, className });
    made.addEventListener("click", pressed);
    return made;
  }

  function dress(form) {
    const said = Object.assign(document.createElement("p"), { role: "status" });
    const say = (text) => { said.textContent = text; };
    const bar = Object.assign(document.createElement("div"), { className: "gfp-buttons" });
    bar.append(button("Check", () => check(form, say)), button("Show the answers", () => solve(form, say)));
    if (form.dataset.ask) bar.append(button("Another question", () => another(form, JSON.parse(form.dataset.ask), say), "gfp-another"));
    form.append(bar, said);
    form.addEventListener("submit", (event) => { event.preventDefault(); check(form, say); });
    return say;
  }

  addEventListener("DOMContentLoaded", () => document.querySelectorAll("form.gfp-question").forEach(dress));
})();
