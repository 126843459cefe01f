/** Landmark schemes: edge_runtime/landmarks.py. Only what the overlay and the openings need. */

/** Index pairs to join with a line in an overlay. */
export type Edges = readonly (readonly [number, number])[];

/** A named, ordered set of facial landmarks. */
export interface LandmarkScheme {
  readonly name: string;
  readonly count: number;
  readonly edges: Edges;
}

/** Return the indices from `first` to `last`. */
function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

function paths(...runs: number[][]): [number, number][] {
  return runs.flatMap((run) => run.slice(1).map((index, i): [number, number] => [run[i], index]));
}

function loops(...runs: number[][]): [number, number][] {
  return paths(...runs.map((run) => [...run, run[0]]));
}

const WFLW_98: LandmarkScheme = {
  name: "wflw98",
  count: 98,
  edges: [
    ...paths(range(0, 32)),
    ...loops(range(33, 41), range(42, 50)),
    ...paths(range(51, 54), range(55, 59)),
    ...loops(range(60, 67), range(68, 75), range(76, 87), range(88, 95)),
  ],
};

const IBUG_68: LandmarkScheme = {
  name: "ibug68",
  count: 68,
  edges: [
    ...paths(range(0, 16), range(17, 21), range(22, 26), range(27, 30), range(31, 35)),
    ...loops(range(36, 41), range(42, 47), range(48, 59), range(60, 67)),
  ],
};

const COFW_29: LandmarkScheme = {
  name: "cofw29",
  count: 29,
  edges: [
    ...loops([0, 4, 2, 5], [1, 6, 3, 7], [8, 12, 10, 13], [9, 14, 11, 15]),
    ...paths([18, 21, 19], [20, 21]),
    ...loops([22, 24, 23, 27]),
    ...paths([22, 25, 23, 26, 22]),
  ],
};

const CELEBA_5: LandmarkScheme = {
  name: "celeba5",
  count: 5,
  edges: [
    [0, 2],
    [1, 2],
    [2, 3],
    [2, 4],
    [3, 4],
  ],
};

/** Known schemes by name. A file may define another. */
export const SCHEMES: ReadonlyMap<string, LandmarkScheme> = new Map(
  [WFLW_98, IBUG_68, COFW_29, CELEBA_5].map((scheme) => [scheme.name, scheme]),
);
