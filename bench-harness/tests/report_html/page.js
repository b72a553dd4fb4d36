// Questions that the test asks of the page, as functions of window.
window.luminance = ([red, green, blue]) => {
  const linear = [red, green, blue].map((part) => {
    const share = part / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
};
window.parts = (colour) => {
  const found = colour.match(/[\d.]+/g).map(Number);
  return { rgb: found.slice(0, 3), alpha: found[3] ?? 1 };
};
window.over = (top, alpha, below) => top.map((part, nth) => alpha * part + (1 - alpha) * below[nth]);
window.contrast = (a, b) => {
  const [light, dark] = [luminance(a), luminance(b)].sort((x, y) => y - x);
  return (light + 0.05) / (dark + 0.05);
};
// What is painted behind an element: of a text in a chart also the box or band before it.
window.behind = (element) => {
  let painted = null;
  for (let at = element; at && !painted; at = at.parentElement) {
    const { rgb, alpha } = parts(getComputedStyle(at).backgroundColor);
    if (alpha === 1) painted = rgb;
  }
  const before = element.previousElementSibling;
  if (before?.matches(".cell, .band")) {
    const style = getComputedStyle(before);
    painted = over(parts(style.fill).rgb, Number(style.fillOpacity), painted);
  }
  return painted;
};
window.isShown = (element) => element.checkVisibility({ contentVisibilityAuto: true }) && element.getClientRects().length > 0;
window.textElements = () => {
  const elements = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (walker.currentNode.data.trim() && !element.closest("script, title, .skip") && isShown(element)) elements.add(element);
  }
  return [...elements];
};
window.faintTexts = () => textElements().flatMap((element) => {
  const style = getComputedStyle(element);
  const colour = parts(element.closest("svg") ? style.fill : style.color).rgb;
  const ratio = contrast(colour, behind(element));
  return ratio < 4.5 ? [`${element.textContent.slice(0, 40)} (${element.getAttribute("class")}): ${ratio.toFixed(2)}`] : [];
});
// Pairs of texts of a chart that cover each other, and texts that leave the window.
window.misplacedTexts = () => [...document.querySelectorAll("svg.plot")].filter(isShown).flatMap((chart) => {
  const name = chart.parentElement.id;
  const boxes = [...chart.querySelectorAll("text")].map((text) => [text.textContent, text.getBoundingClientRect()]);
  return boxes.flatMap(([text, box], nth) => {
    const covered = boxes.slice(nth + 1).filter(([, other]) =>
      Math.min(box.right, other.right) - Math.max(box.left, other.left) > 1 &&
      Math.min(box.bottom, other.bottom) - Math.max(box.top, other.top) > 5);
    const isOutside = box.left < -1 || box.right > document.documentElement.clientWidth + 1;
    return [...covered.map(([other]) => `${name}: ${text} on ${other}`), ...(isOutside ? [`${name}: ${text} is outside`] : [])];
  });
});
