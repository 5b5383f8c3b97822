// The code of a page is hidden until its one switch is pressed; the choice is kept for all pages of the book.
// A cell tagged "lesson" is always shown: there the call is what the page teaches.
(() => {
  const KEY = "gfp-code";
  const root = document.documentElement;
  const shown = () => root.classList.contains("gfp-code");

  function kept() {
    try {
      return localStorage.getItem(KEY) === "shown";
    } catch {
      return false; // a browser that keeps nothing for pages of a disk
    }
  }

  function keep(value) {
    try {
      localStorage.setItem(KEY, value ? "shown" : "hidden");
    } catch {
      // then it holds for this page
    }
  }

  root.classList.toggle("gfp-code", kept());

  document.addEventListener("DOMContentLoaded", () => {
    if (!document.querySelector(".bd-article .cell:not(.tag_lesson) .cell_input")) return;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "btn btn-sm gfp-code-switch";
    const say = () => {
      button.textContent = shown() ? "Hide the code" : "Show the code";
    };
    button.addEventListener("click", () => {
      root.classList.toggle("gfp-code");
      keep(shown());
      say();
    });
    say();
    document.querySelector(".article-header-buttons")?.prepend(button);
  });
})();
