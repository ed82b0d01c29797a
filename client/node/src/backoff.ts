// How long to wait before trying again.

const firstBoundMs = 100;
const mostBoundMs = 10_000;

/**
 * Exponential backoff with full jitter: any time between nothing and a bound that doubles with each failure, so that
 * clients that lost their server together do not come back together.
 */
export class Backoff {
  #boundMs = firstBoundMs;

  /** The time to wait after one more failure. */
  nextMs(): number {
    const delay = Math.random() * this.#boundMs;
    this.#boundMs = Math.min(this.#boundMs * 2, mostBoundMs);
    return delay;
  }

  /** It worked: the next failure is the first again. */
  reset(): void {
    this.#boundMs = firstBoundMs;
  }
}
