// What the widgets and the theme leave out for those who work by keyboard, hear the page, or print it.
(() => {
  const each = (selector, change) => document.querySelectorAll(selector).forEach(change);

  // The visible text says more than the theme's label, which hides it from a screen reader.
  function nameTheme() {
    each("summary[aria-label='Toggle hidden content'], .search-button-field[aria-label]", (e) => e.removeAttribute("aria-label"));
    // three pictures, one of them seen, none of them the button's name
    each(".theme-switch-button [title]", (e) => e.removeAttribute("title"));
    each(".theme-switch-button title", (e) => e.remove());
    each(".theme-switch-button svg", (e) => e.setAttribute("aria-hidden", "true"));
  }

  function nameWidgets() {
    each(".widget-slider .noUi-handle:not([aria-label])", (e) =>
      e.setAttribute("aria-label", e.closest(".widget-slider").querySelector(".widget-label").textContent));
    each(".widget-play", (e) => ["play or pause", "stop", "repeat"].forEach((name, index) =>
      e.querySelectorAll("button")[index]?.setAttribute("aria-label", name)));
  }

  // A box that scrolls sideways is a stop of the Tab key for as long as it does, and the arrow keys scroll it.
  const BOXES = ".bd-article :is(.cell_output, .text_html, .gfp-table, .gfp-score, .gfp-hunk, .gfp-reference, figure, .math, .pst-scrollable-table-container, pre, .output)";
  function reachBoxes() {
    each(BOXES, (box) => {
      const scrolls = box.scrollWidth > box.clientWidth && /auto|scroll/.test(getComputedStyle(box).overflowX);
      if (scrolls) box.tabIndex = 0;
      else if (box.getAttribute("tabindex") === "0") box.removeAttribute("tabindex");
    });
  }

  // What is said of a step is read out when another step is shown; the drawing around it is not read again.
  const voice = Object.assign(document.createElement("p"), { className: "gfp-heard" });
  voice.setAttribute("aria-live", "polite");
  let before = [];
  function speak() {
    const now = [...document.querySelectorAll(".widget-html .gfp-now")].map((e) => e.textContent);
    const fresh = now.filter((said) => !before.includes(said));
    if (now.length && !voice.isConnected) document.querySelector("article").append(voice);
    if (before.length && fresh.length) voice.textContent = fresh.join(" ");
    before = now;
  }

  let planned = false;
  function mend() {
    if (planned) return;
    planned = true;
    requestAnimationFrame(() => {
      planned = false;
      nameWidgets();
      reachBoxes();
      speak();
    });
  }

  // Paper shows everything, dark on white.
  let closed = [];
  let theme = "";
  addEventListener("beforeprint", () => {
    theme = document.documentElement.dataset.theme;
    document.documentElement.dataset.theme = "light";
    closed = [...document.querySelectorAll("article details:not([open])")];
    closed.forEach((e) => { e.open = true; });
  });
  addEventListener("afterprint", () => {
    document.documentElement.dataset.theme = theme;
    closed.forEach((e) => { e.open = false; });
  });

  document.addEventListener("DOMContentLoaded", () => {
    nameTheme();
    mend();
    addEventListener("load", nameTheme); // Font Awesome has drawn its pictures by then
    addEventListener("resize", mend);
    document.addEventListener("toggle", mend, true);
    new MutationObserver(mend).observe(document.querySelector("article") ?? document.body, { childList: true, subtree: true });
  });
})();
