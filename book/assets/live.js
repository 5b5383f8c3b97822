// The model in the reader's browser.  A page that has boxes for input of one's own gets one button; once it is pressed a
// worker runs the package (tools/live makes its parts), and every box asks it for the same picture as a notebook would.
// What a box asks is written beside it (gfpmodel/show/widgets.py, own); this file knows no rule of the kernel.
const gfpLive = (() => {
  const base = new URL("live/", document.currentScript.src).href;
  const state = { worker: null, parts: {}, sizes: {}, key: "", source: "", asked: new Map(), number: 0, bar: null, given: {} };

  // what is fetched

  function script(name) {
    return new Promise((done, failed) => {
      const element = document.createElement("script");
      element.src = base + name;
      element.onload = () => done(element.remove());
      element.onerror = () => failed(new Error(`${name} could not be loaded`));
      document.head.append(element);
    });
  }

  async function fetched(name, tell, signal) {
    if (location.protocol === "file:") {
      await script(`${name}.gz.js`);
      signal.throwIfAborted();
      tell(state.sizes[name]);
      return;
    }
    const answer = await fetch(`${base}${name}.gz?${state.key}`, { signal });
    if (!answer.ok) throw new Error(`${name}.gz: the server says ${answer.status}`);
    const chunks = [];
    for (const reader = answer.body.getReader(); ;) {
      const { done, value } = await reader.read();
      if (done) break;
      chunks.push(value);
      tell(value.length);
    }
    state.parts[name] = await new Blob(chunks).arrayBuffer();
  }

  const part = (name, text) => { state.parts[name] = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer; };
  const begin = (sizes, key, source) => Object.assign(state, { sizes, key, source });

  // the worker

  function ask(message) {
    if (!state.worker) return Promise.resolve({ stopped: true });
    const id = ++state.number;
    return new Promise((done) => {
      state.asked.set(id, done);
      state.worker.postMessage({ ...message, id });
    });
  }

  async function start() {
    state.worker = new Worker(URL.createObjectURL(new Blob([state.source], { type: "text/javascript" })));
    state.worker.onmessage = ({ data }) => { state.asked.get(data.id)?.(data); state.asked.delete(data.id); };
    const failed = new Promise((_, no) => { state.worker.onerror = (event) => no(new Error(event.message || "the worker could not be started")); });
    const up = await Promise.race([ask({ parts: state.parts }), failed]);
    if (up.failed) throw new Error(up.failed);
  }

  function stop() {
    state.worker?.terminate();
    state.worker = null;
    for (const done of state.asked.values()) done({ stopped: true });
    state.asked.clear();
  }

  // the bar with the button

  function element(tag, set, ...children) {
    const made = Object.assign(document.createElement(tag), set);
    made.append(...children);
    return made;
  }

  // The first child stays, for a screen reader tells only what changes in a status that was there; the keyboard stays in the bar.
  function say(text, ...more) {
    const [status, ...old] = state.bar.children;
    const held = state.bar.contains(document.activeElement);
    status.textContent = text;
    old.forEach((one) => one.remove());
    state.bar.append(...more);
    if (held) (state.bar.querySelector("button") ?? state.bar).focus();
  }

  function offer(text) {
    say(text, element("button", { type: "button", className: "gfp-wake", textContent: "Run the model here (6 MB)", onclick: wake }));
  }

  async function wake() {
    const end = new AbortController();
    const meter = element("progress", { max: 1, value: 0 }), count = element("span");
    meter.setAttribute("aria-label", "fetched");
    let givenUp = false;
    const button = element("button", { type: "button", textContent: "Give up", onclick: () => { givenUp = true; end.abort(); } });
    const ended = new Promise((_, no) => end.signal.addEventListener("abort", () => no(end.signal.reason)));
    try {
      say("Fetching the model", meter, count, button);
      await Promise.race([script(`start.js?${Date.now()}`), ended]); // what it names is asked of the browser's cache
      const whole = Object.values(state.sizes).reduce((sum, size) => sum + size, 0);
      let got = 0;
      const tell = (bytes) => {
        got += bytes;
        meter.value = got / whole;
        count.textContent = `${(got / 1e6).toFixed(1)} of ${(whole / 1e6).toFixed(1)} MB`;
      };
      await Promise.race([Promise.all(Object.keys(state.sizes).map((name) => fetched(name, tell, end.signal))), ended]);
      say("Starting Python", button);
      await Promise.race([start(), ended]);
      document.documentElement.classList.add("gfp-awake");
      say("Ready: the model runs in this page. The boxes of your own, now below the pictures, take any value; exercises ask anew.");
      asks().forEach(wire);
      open();
    } catch (error) {
      stop();
      end.abort(); // of the other parts
      document.documentElement.classList.remove("gfp-awake");
      offer(givenUp ? "Given up; nothing was changed." : `The model could not be started (${error.message}); what was drawn ahead works as before.`);
    }
  }

  // the boxes

  const asks = () => [...document.querySelectorAll(".gfp-ask")];
  const boxOf = (one) => one.closest(".gfp-live-only");

  function control(one, name) {
    const around = boxOf(one).closest(".widget-subarea") ?? boxOf(one);
    const found = around.querySelector(`.gfp-arg-${name}`);
    return found.matches("input, select, textarea") ? found : found.querySelector("select, textarea, input, .noUi-handle");
  }

  function value(element) {
    if (element.matches("select")) return element.selectedIndex;
    return element.matches(".noUi-handle") ? Math.round(Number(element.getAttribute("aria-valuenow"))) : element.value;
  }

  function put(element, wanted) {
    if (element.matches(".noUi-handle")) element.closest(".noUi-target").noUiSlider.set(wanted);
    else if (element.matches("select")) element.selectedIndex = wanted;
    else element.value = wanted;
    element.dispatchEvent(new Event(element.matches("select") ? "change" : "input", { bubbles: true }));
    element.dispatchEvent(new Event("change", { bubbles: true }));
  }

  function wire(one) {
    if (one.gfpOpen) return; // the model was woken before, and could not be started again after a stop
    const { picture, fixed, values } = JSON.parse(one.dataset.ask);
    const box = boxOf(one);
    const controls = Object.fromEntries(Object.keys(values).map((name) => [name, control(one, name)]));
    const [shown, wrong] = ["gfp-shown", "gfp-fault"].map((name) => {
      const found = box.querySelector(`.${name}`);
      return found.querySelector(".widget-html-content") ?? found;
    });
    wrong.setAttribute("role", "alert");
    let busy = false, again = false;

    // the newest wish wins: what was wished meanwhile is asked once
    async function draw(event) {
      if (busy) { again = true; return; }
      const chosen = Object.fromEntries(Object.entries(controls).map(([name, element]) => [name, value(element)]));
      if (Object.values(chosen).some((given) => String(given).trim() === "")) { wrong.textContent = ""; shown.replaceChildren(); return; }
      busy = true;
      box.setAttribute("aria-busy", true);
      const slow = setTimeout(() => wrong.replaceChildren("running ", element("button", { type: "button", textContent: "Stop", onclick: halt })), 1000);
      const given = Object.fromEntries(Object.entries(chosen).map(([name, it]) => [name, values[name] ? values[name][it] : it]));
      const answer = await ask({ picture, values: { ...fixed, ...given } });
      clearTimeout(slow);
      wrong.textContent = answer.fault ?? answer.failed ?? (answer.stopped ? "stopped" : "");
      if (answer.html !== undefined) {
        shown.innerHTML = one.gfpAnswer = answer.html; // kept, because scripts of the page add to what is shown
        if (event) keep(one, chosen);
      }
      busy = false;
      box.setAttribute("aria-busy", false);
      if (again) { again = false; draw(true); }
    }

    for (const element of Object.values(controls)) {
      if (element.matches(".noUi-handle")) new MutationObserver(draw).observe(element, { attributeFilter: ["aria-valuenow"] });
      else for (const event of ["input", "change"]) element.addEventListener(event, draw);
    }
    one.gfpOpen = (chosen) => { for (const [name, wanted] of Object.entries(chosen)) if (controls[name]) put(controls[name], wanted); };
    draw(); // a box that opens with a value shows it; that is no choice of the reader's
  }

  async function halt() {
    stop();
    await start().catch((error) => {
      document.documentElement.classList.remove("gfp-awake");
      offer(`The model could not be started again (${error.message}); what was drawn ahead works as before.`);
    });
  }

  // a case of one's own stands in the address, beside the choices that address.js keeps there

  const hash = () => new URLSearchParams(location.hash.slice(1));

  function keep(one, chosen) {
    const said = hash();
    said.set("own", JSON.stringify([asks().indexOf(one), chosen]));
    history.replaceState(null, "", `#${String(said).replaceAll("%2C", ",")}`);
  }

  function own() {
    try {
      const [index, chosen] = JSON.parse(hash().get("own"));
      return { one: asks()[index], chosen: { ...chosen } };
    } catch {
      return {}; // a link that holds no case
    }
  }

  function open() {
    const { one, chosen } = state.given;
    one?.gfpOpen(chosen);
    if (one) boxOf(one).scrollIntoView({ block: "center" });
  }

  function follow() {
    state.given = own();
    if (document.documentElement.matches(".gfp-awake")) open();
    else if (state.given.one && state.bar.querySelector(".gfp-wake")) offerGiven();
  }

  function offerGiven() {
    offer(state.given.one ? "This link holds a case that the model works out here." : "To try values of your own:");
    if (state.given.one) state.bar.scrollIntoView({ block: "center" });
  }

  // the page: its widgets are drawn after it is loaded

  const AHEAD = "These pictures are stored results, computed beforehand: the model that runs in the page does not recompute them. The command below a picture repeats such a run.";

  function place(tries) {
    const views = document.querySelectorAll('script[type="application/vnd.jupyter.widget-view+json"]').length;
    if (document.querySelectorAll(".widget-subarea > .jupyter-widgets").length < views) {
      if (tries) setTimeout(place, 100, tries - 1);
      return;
    }
    document.querySelectorAll(".gfp-live-only:not(:has(.gfp-ask))").forEach((box) => box.after(element("p", { className: "gfp-ahead", textContent: AHEAD })));
    const first = document.querySelector(".gfp-ask, form.gfp-question[data-ask]");
    if (!first || !("DecompressionStream" in window)) return;
    state.bar = element("div", { className: "gfp-buttons gfp-live-bar", tabIndex: -1 }, element("span", { role: "status" }));
    (first.closest(".cell") ?? first).before(state.bar);
    state.given = own();
    offerGiven();
    addEventListener("hashchange", follow);
  }

  addEventListener("load", () => place(600));
  return { part, begin, ask };
})();
