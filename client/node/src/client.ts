// What a program begins with.

import { Connection, type ClientOptions } from './connection.js';
import { Watch, type WatchOptions } from './watch.js';

/** One connection to one server. It connects when the first watch is opened, and again whenever it has to. */
export class Client {
  readonly #connection: Connection;
  readonly #watches = new Set<Watch>();
  #closed = false;

  /** `address` is `host:port`, `[v6]:port` or `unix:/path`. Throws a TypeError if it is something else. */
  constructor(address: string, options: ClientOptions = {}) {
    this.#connection = new Connection(address, options);
  }

  /**
   * Follows a source, from now on until the watch or this client is closed. Throws a TypeError or RangeError if an
   * option is wrong; what the server says of the request ends the watch. With `cacheDir` it reads the disk copy first.
   */
  watch(source: string, options: WatchOptions = {}): Watch {
    if (this.#closed) throw new TypeError('the client is closed');
    const watch = new Watch(this.#connection, source, options, () => this.#watches.delete(watch));
    this.#watches.add(watch);
    return watch;
  }

  /** Closes all watches, as their `close` does, and the connection. A second call resolves at once. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await Promise.all([...this.#watches].map((watch) => watch.close()));
    this.#connection.close();
  }

  /** The same as `close`, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
