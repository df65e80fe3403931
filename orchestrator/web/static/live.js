// Keeps the parts of a page fresh that say where their newest text is; without it every page works, and stays as it was.
"use strict";

const SLOWEST = 30000;

function follow(part) {
  const address = part.dataset.live;
  const every = Number(part.dataset.every);
  let pause = every;
  let last = "";

  async function look() {
    if (document.hidden) {
      return;
    }
    const answer = await fetch(address, { headers: { Accept: "text/html" }, cache: "no-store" });
    if (answer.redirected) {
      location.assign(`/sign-in?next=${encodeURIComponent(location.pathname + location.search)}`);
      return;
    }
    if (!answer.ok) {
      throw new Error(String(answer.status));
    }
    const text = await answer.text();
    if (text === last || isUsed(part)) {
      return;
    }
    const fresh = new DOMParser().parseFromString(text, "text/html");
    if (markIn(fresh) !== markIn(part)) {
      if (!isWriting()) {
        location.reload();
      }
      return;
    }
    put(part, fresh);
    last = text;
  }

  async function step() {
    if (part.dataset.done === undefined) {
      try {
        await look();
        pause = every;
        document.body.classList.remove("stale");
      } catch {
        pause = Math.min(pause * 2, SLOWEST);
        document.body.classList.add("stale");
      }
      setTimeout(step, pause);
    }
  }

  setTimeout(step, every);
}

// Whoever has the focus in a part, or marks text in it, is not disturbed.
function isUsed(part) {
  const chosen = document.getSelection();
  const marks = chosen && !chosen.isCollapsed && part.contains(chosen.anchorNode);
  return marks || (part.contains(document.activeElement) && document.activeElement !== document.body);
}

// A part that bears another mark than before wants another page around it: other forms, or none.
function markIn(root) {
  return root.querySelector("[data-mark]")?.dataset.mark;
}

function isWriting() {
  return Boolean(document.activeElement?.closest("form"));
}

function put(part, fresh) {
  const open = [...part.querySelectorAll("details")].map((one) => one.open);
  const scrolled = [...part.querySelectorAll(".scroll")].map((one) => [one.scrollLeft, one.scrollTop]);
  part.replaceChildren(...fresh.body.childNodes);
  part.querySelectorAll("details").forEach((one, index) => {
    one.open = open[index] ?? one.open;
  });
  part.querySelectorAll(".scroll").forEach((one, index) => {
    [one.scrollLeft, one.scrollTop] = scrolled[index] ?? [0, 0];
  });
}

// A page that leads to what was just done forgets the word for it, so that a reload does not say it again.
const here = new URL(location.href);
if (here.searchParams.has("done")) {
  here.searchParams.delete("done");
  history.replaceState(null, "", here);
}
document.querySelectorAll("[data-live]").forEach(follow);
