// The theme's Font Awesome replaces <i> elements; the widgets' Play button keeps a reference to its <i> and stops
// when that is gone. "nest" puts the picture inside the element instead.
window.FontAwesomeConfig = { autoReplaceSvg: "nest" };
