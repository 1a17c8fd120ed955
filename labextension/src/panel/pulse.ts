/** When to draw: soon after something changed, but a few times a second at most and never unseen. */

export class Pulse {
  /**
   * @param draw what is done; `seen` says whether anybody can see it.
   * @param interval milliseconds between two drawings, at least.
   */
  constructor(
    private readonly draw: () => void,
    private readonly seen: () => boolean,
    private readonly interval = 200
  ) {}

  /** Something changed. */
  request(): void {
    if (this.timer !== null || this.frame !== null || this.ended) {
      return;
    }
    const wait = Math.max(0, this.last + this.interval - performance.now());
    this.timer = window.setTimeout(() => {
      this.timer = null;
      // A page in the background gets no frames, so this waits until it is looked at again.
      this.frame = window.requestAnimationFrame(() => {
        this.frame = null;
        this.last = performance.now();
        if (this.seen()) {
          this.draw();
        }
      });
    }, wait);
  }

  dispose(): void {
    this.ended = true;
    if (this.timer !== null) {
      window.clearTimeout(this.timer);
    }
    if (this.frame !== null) {
      window.cancelAnimationFrame(this.frame);
    }
  }

  private timer: number | null = null;
  private frame: number | null = null;
  private last = -Infinity;
  private ended = false;
}
