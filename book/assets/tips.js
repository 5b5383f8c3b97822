// What the tip of a term or a source needs besides what sphinx-tippy writes.
tippy.setDefaultProps({
  plugins: [
    {
      // a copy of an entry: no id a second time, no link that the pointer cannot reach, a definition in its list
      name: "plainCopy",
      defaultValue: true,
      fn: (tip) => ({
        onCreate() {
          const copy = document.createElement("dl");
          copy.innerHTML = tip.props.content;
          copy.querySelectorAll("[id]").forEach((part) => part.removeAttribute("id"));
          copy.querySelectorAll("a").forEach((link) => link.replaceWith(...link.childNodes));
          tip.setContent(copy.querySelector("dt") ? copy.outerHTML : copy.innerHTML);
        },
      }),
    },
    {
      // who enlarges the page must be able to get the tip out of the way
      name: "hideOnEscape",
      defaultValue: true,
      fn: ({ hide }) => {
        const close = (event) => event.key === "Escape" && hide();
        return {
          onShow: () => document.addEventListener("keydown", close),
          onHide: () => document.removeEventListener("keydown", close),
        };
      },
    },
  ],
});
