// The choices of a page's widgets stand in its address (#set=control.value,...), so that a mail can point at a case.
// A control is counted in the order of the page; one that stands where it opened is not named.
(() => {
  const controls = () => [...document.querySelectorAll(".widget-subarea :is(select, .noUi-handle):not(.gfp-live-only *)")];
  const at = (control) => Number(control.tagName === "SELECT" ? control.selectedIndex : control.getAttribute("aria-valuenow"));
  const last = (control) => (control.tagName === "SELECT" ? control.options.length - 1 : Number(control.getAttribute("aria-valuemax")));
  const said = () => new URLSearchParams(location.hash.slice(1)); // beside a case of one's own, which live.js keeps there
  let opened = [];

  // a stack whose next frame is asked for before the last one stands fails in the widget manager
  const drawn = () => new Promise((done) => setTimeout(done, 60));

  async function move(control, value) {
    if (at(control) === value) return;
    if (control.tagName === "SELECT") {
      control.selectedIndex = value;
      control.dispatchEvent(new Event("change", { bubbles: true }));
      await drawn();
      return;
    }
    // a slider moves by keys; at its end a key changes nothing
    for (let before = NaN; at(control) !== value && at(control) !== before; await drawn()) {
      before = at(control);
      const key = before < value ? "ArrowRight" : "ArrowLeft";
      control.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
    }
  }

  async function read() {
    const set = said().get("set");
    if (!set) return;
    const wanted = new Map(set.split(",").map((pair) => pair.split(".").map(Number)));
    for (const [index, control] of controls().entries()) {
      await move(control, wanted.get(index) <= last(control) ? wanted.get(index) : opened[index]);
    }
    controls()[Math.min(...wanted.keys())]?.closest(".widget-subarea").scrollIntoView();
    setTimeout(write, 200); // after those that the moves have asked for
  }

  function write() {
    const moved = controls().map((control, index) => [index, at(control)]).filter(([index, value]) => value !== opened[index]);
    const words = said();
    if (moved.length) words.set("set", moved.map((pair) => pair.join(".")).join(","));
    else if (words.has("set")) words.delete("set");
    else return;
    history.replaceState(null, "", words.size ? `#${String(words).replaceAll("%2C", ",")}` : location.pathname + location.search);
  }

  function begin(tries) {
    const views = document.querySelectorAll('script[type="application/vnd.jupyter.widget-view+json"]').length;
    if (!views || !tries) return;
    if (document.querySelectorAll(".widget-subarea > .jupyter-widgets").length < views) {
      setTimeout(begin, 100, tries - 1);
      return;
    }
    opened = controls().map(at);
    drawn().then(read);
    addEventListener("hashchange", read);
    for (const event of ["change", "keyup", "pointerup"]) document.addEventListener(event, () => setTimeout(write, 100));
  }

  addEventListener("load", () => begin(600));
})();
