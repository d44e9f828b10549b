// Live pages: when the server says that something changed, the page is read anew and what differs is exchanged.
// Everything works without this file. Nothing that somebody is using (an open detail, a field, the focus) is touched.
"use strict";

(() => {
  const main = document.querySelector("main[data-live]");
  const foot = document.getElementById("foot");
  if (!main || !window.EventSource) return;

  const REGIONS = ["simulated", "brakes", "main", "foot"];
  let isPaused = false, isReading = false, isStale = false, isPressed = false;

  const button = document.createElement("button");
  button.className = "quiet";
  button.id = "live";
  button.type = "button";
  button.addEventListener("click", () => { isPaused = !isPaused; label(); if (!isPaused) refresh(); });
  function label() { button.textContent = isPaused ? "Paused · go live" : "Live · pause"; }
  label();
  foot.append(button);

  async function refresh() {
    if (isPaused || document.hidden) { isStale = true; return; }
    if (isReading) { isStale = true; return; }
    isReading = true; isStale = false;
    try {
      const answer = await fetch(location.href, { headers: { "X-Live": "1" } });
      if (isPressed) isStale = true;
      else if (answer.ok && !answer.redirected) {
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
        for (const id of REGIONS) {
          const from = document.getElementById(id), to = fresh.getElementById(id);
          if (from && to) morph(from, to);
        }
      }
    } catch { /* the stream reconnects by itself, and the next event reads again */ }
    isReading = false;
    if (isStale) setTimeout(refresh, 500);
  }

  // A press that ends on another element than it began on is no click: nothing is exchanged under a pressed pointer.
  addEventListener("pointerdown", () => { isPressed = true; });
  for (const end of ["pointerup", "pointercancel"]) {
    addEventListener(end, () => setTimeout(() => { isPressed = false; if (isStale) refresh(); }));
  }

  // Make `from` like `to`: children are matched by id, else in their order.
  function morph(from, to) {
    if (from.isEqualNode(to) || isInUse(from)) return;
    for (const { name } of [...from.attributes]) {
      if (!to.hasAttribute(name) && name !== "open") from.removeAttribute(name);
    }
    for (const { name, value } of to.attributes) {
      if (from.getAttribute(name) !== value && name !== "open") from.setAttribute(name, value);
    }
    let at = from.firstChild;
    for (const wanted of [...to.childNodes]) {
      const known = wanted.id ? [...from.children].find((child) => child.id === wanted.id) : null;
      if (known) {
        if (known !== at) from.insertBefore(known, at); else at = at.nextSibling;
        morph(known, wanted);
      } else if (at && isAlike(at, wanted)) {
        if (at.nodeType === Node.ELEMENT_NODE) morph(at, wanted);
        else if (at.nodeValue !== wanted.nodeValue) at.nodeValue = wanted.nodeValue;
        at = at.nextSibling;
      } else {
        from.insertBefore(document.importNode(wanted, true), at);
      }
    }
    while (at) {
      const next = at.nextSibling;
      if (at !== button) at.remove();
      at = next;
    }
  }

  // A field or a menu that is open: a button that turned into another under the hand would do what nobody asked for.
  function isInUse(element) {
    return element === document.activeElement
      || (element.nodeType === Node.ELEMENT_NODE && (element.hasAttribute("data-keep") || element.matches(".acts[open]")));
  }

  function isAlike(one, other) {
    return one !== button && one.nodeType === other.nodeType && one.nodeName === other.nodeName && !one.id && !other.id;
  }

  const stream = new EventSource("/live");
  let seen = null;
  stream.addEventListener("tick", (event) => {
    if (seen !== null && event.data !== seen) refresh();
    seen = event.data;
  });
  document.addEventListener("visibilitychange", () => { if (!document.hidden && isStale) refresh(); });
  addEventListener("pagehide", () => stream.close());
})();

// An open menu lies over the rows below it: it closes by Escape, and where something else is pressed, as menus do.
(() => {
  const menus = () => document.querySelectorAll(".acts[open]");
  addEventListener("click", (event) => {
    for (const menu of menus()) if (!menu.contains(event.target)) menu.open = false;
  });
  addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const menu of menus()) { menu.open = false; menu.querySelector("summary").focus(); }
  });
})();

// On paper everything is open, and as it was again afterwards.
(() => {
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details.fold:not([open])")];
    for (const each of opened) each.open = true;
  });
  addEventListener("afterprint", () => { for (const each of opened) each.open = false; });
})();
