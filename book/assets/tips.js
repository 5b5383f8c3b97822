// Escape closes the tip of a term or a source: who enlarges the page must be able to get it out of the way.
tippy.setDefaultProps({
  plugins: [
    {
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
