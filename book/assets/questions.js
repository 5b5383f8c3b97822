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

  function button(text, pressed) {
    const made = Object.assign(document.createElement("button"), { type: "button", textContent: text });
    made.addEventListener("click", pressed);
    return made;
  }

  addEventListener("DOMContentLoaded", () => document.querySelectorAll("form.gfp-question").forEach((form) => {
    const said = Object.assign(document.createElement("p"), { role: "status" });
    const say = (text) => { said.textContent = text; };
    const bar = Object.assign(document.createElement("div"), { className: "gfp-buttons" });
    bar.append(button("Check", () => check(form, say)), button("Show the answers", () => solve(form, say)));
    form.append(bar, said);
    form.addEventListener("submit", (event) => { event.preventDefault(); check(form, say); });
  }));
})();
