/** What stands beside the picture: faces with their bars, and times. */

import { openings, type Face } from "../core/index.js";
import { anglesText } from "./overlay.js";

const BAR_NAMES: Readonly<Record<string, string>> = {
  left_eye: "eye, left",
  right_eye: "eye, right",
  mouth: "mouth",
};

/** Return an element with text. */
function element<Tag extends keyof HTMLElementTagNameMap>(tag: Tag, text = ""): HTMLElementTagNameMap[Tag] {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}

/** Show each face's id, confidence, angles, and bars in [0, 1]. */
export function showFaces(parent: HTMLElement, faces: readonly Face[]): void {
  parent.replaceChildren(...faces.map(faceElement));
  if (faces.length === 0) {
    const nothing = element("p", "No face.");
    nothing.className = "faint";
    parent.append(nothing);
  }
}

function faceElement(face: Face): HTMLElement {
  const made = element("div");
  made.className = "face";
  made.append(element("p", `#${face.id} · confidence ${face.confidence.toFixed(2)}`), element("p", anglesText(face)));
  for (const [name, value] of Object.entries(barsOf(face))) made.append(barElement(BAR_NAMES[name] ?? name, value));
  return made;
}

/** Return what is shown as bars, in [0, 1]: how open the eyes and the mouth are. */
function barsOf(face: Face): Record<string, number> {
  return openings(face.landmarks, face.scheme);
}

function barElement(name: string, value: number): HTMLElement {
  const row = element("label");
  row.className = "bar";
  const meter = element("meter");
  meter.value = value;
  row.append(element("span", name), meter);
  return row;
}

/** Show milliseconds by stage, and their sum. */
export function showTimes(table: HTMLTableElement, times: readonly (readonly [string, number])[]): void {
  const total = times.reduce((sum, [, value]) => sum + value, 0);
  const rows = [...times, ["sum", total] as const].map(([name, value]) => {
    const row = element("tr");
    row.append(element("th", name), element("td", `${value.toFixed(1)} ms`));
    return row;
  });
  table.tBodies[0].replaceChildren(...rows);
}
