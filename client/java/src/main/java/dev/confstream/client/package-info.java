/**
 * Follows the configuration that a Confstream server serves: {@link
 * dev.confstream.client.ConfstreamClient} is one connection to one server, {@link
 * dev.confstream.client.Watch} one source that is followed for as long as the program runs, {@link
 * dev.confstream.client.Snapshot} the files of one version, whole and immutable.
 *
 * <p>What every client of Confstream promises is in docs/clients.md; numbers in comments here are
 * those of its table.
 */
package dev.confstream.client;
