/** Running means of what the page shows. */

/** Weight of a new value: the numbers stay readable. */
const WEIGHT = 0.1;

/** Running means by name. */
export class RunningMeans {
  private readonly values = new Map<string, number>();

  /** Add a value and return the mean. */
  add(name: string, value: number): number {
    const before = this.values.get(name);
    const mean = before === undefined ? value : before + WEIGHT * (value - before);
    this.values.set(name, mean);
    return mean;
  }

  /** Forget all values. */
  clear(): void {
    this.values.clear();
  }
}

/** Rate of frames over the last two seconds. */
export class FrameRate {
  private times: number[] = [];

  /** Add a frame shown at `time` milliseconds and return the frames per second; 0 for the first frame. */
  add(time: number): number {
    this.times = [...this.times.filter((each) => time - each < 2000), time];
    const [first] = this.times;
    return this.times.length < 2 || time === first ? 0 : (1000 * (this.times.length - 1)) / (time - first);
  }
}
