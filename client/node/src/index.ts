/**
 * Follows configuration that a Confstream server serves.
 *
 * @packageDocumentation
 */

export { Client } from './client.js';
export type { ClientOptions } from './connection.js';
export { ConfstreamError, TimeoutError, type StatusCode } from './errors.js';
export type { Outcome } from './outcomes.js';
export type { ConfigFile, Snapshot } from './snapshot.js';
export type { Change, WaitOptions, Watch, WatchEvent, WatchOptions } from './watch.js';
