/** What stands beside the picture: faces with their bars, and times. */

import { EXPRESSIONS, openings, type Face } from "../core/index.js";
import { anglesText } from "./overlay.js";

/** Bars in their order, and what each shows: sides are those of the picture, so a mirror swaps them. */
const BARS = [
  { name: "eye, left", part: "left_eye", mirrored: "right_eye" },
  { name: "eye, right", part: "right_eye", mirrored: "left_eye" },
  { name: "mouth", part: "mouth", mirrored: "mouth" },
] as const;

/** Return an element with text. */
function element<Tag extends keyof HTMLElementTagNameMap>(tag: Tag, text = ""): HTMLElementTagNameMap[Tag] {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}

/** Return what colors and transparency mean in the picture as it is shown; `gaze`: the model gives it. */
export function legendText(mirror: boolean, gaze: boolean): string {
  const side = mirror ? "left" : "right";
  const rays = gaze ? " Yellow rays: where the eyes look." : "";
  const legend = `Transparent points are uncertain. Axes: red ${side}, green down, blue out of the face.${rays}`;
  return mirror ? `${legend} Angles and copied results are those of the picture that is not mirrored.` : legend;
}

/** Show each face's id, confidence, angles, and bars in [0, 1]; `mirror`: the picture is shown as a mirror does. */
export function showFaces(parent: HTMLElement, faces: readonly Face[], mirror: boolean): void {
  parent.replaceChildren(...faces.map((face) => faceElement(face, mirror)));
  if (faces.length === 0) {
    const nothing = element("p", "No face.");
    nothing.className = "faint";
    parent.append(nothing);
  }
}

function faceElement(face: Face, mirror: boolean): HTMLElement {
  const made = element("div");
  made.className = "face";
  made.append(element("p", `#${face.id} · confidence ${face.confidence.toFixed(2)}`), element("p", anglesText(face)));
  const bars = namedBars(openings(face.landmarks, face.scheme), mirror);
  made.append(...bars.map(([name, value]) => barElement(name, value)));
  return made;
}

/** Return the bars, in [0, 1], of how open the eyes and the mouth are, named as they lie in the picture shown. */
export function namedBars(opened: Readonly<Record<string, number>>, mirror: boolean): [string, number][] {
  return BARS.flatMap(({ name, part, mirrored }): [string, number][] => {
    const shown = mirror ? mirrored : part;
    return shown in opened ? [[name, opened[shown]]] : [];
  });
}

function barElement(name: string, value: number): HTMLElement {
  const row = element("label");
  row.className = "bar";
  const meter = element("meter");
  meter.value = value;
  row.append(element("span", name), meter);
  return row;
}

/** Return the coefficients in pairs of left and right, then those of both sides. */
export function pairedExpressions(): string[] {
  const rightOf = (name: string): string => name.replace(/Left$/, "Right");
  const pairs = EXPRESSIONS.filter((name) => name.endsWith("Left")).map((name) => [name, rightOf(name)]);
  return [...pairs.flat(), ...EXPRESSIONS.filter((name) => !/(Left|Right)$/.test(name))];
}

/** One bar per expression coefficient. They are made once: 52 elements per frame take long. */
export class ExpressionBars {
  private readonly bars = new Map(pairedExpressions().map((name) => [name, element("div", name)]));

  constructor(parent: HTMLElement) {
    for (const [name, bar] of this.bars) {
      bar.className = "expression";
      bar.setAttribute("role", "meter");
      bar.setAttribute("aria-label", name);
      bar.setAttribute("aria-valuemin", "0");
      bar.setAttribute("aria-valuemax", "100");
    }
    parent.replaceChildren(...this.bars.values());
    this.show(undefined);
  }

  /** Show the coefficients of a face; undefined: no face. */
  show(expressions: Face["expressions"]): void {
    for (const [name, bar] of this.bars) {
      const percent = String(Math.round(100 * (expressions?.[name] ?? 0)));
      bar.style.setProperty("--value", `${percent}%`);
      bar.setAttribute("aria-valuenow", percent);
    }
  }
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
