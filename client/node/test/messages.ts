// What a server sends, made without the client's own code.

import { createHash } from 'node:crypto';

import type { MessageInitShape } from '@bufbuild/protobuf';

import {
  WatchReason,
  WatchResponseSchema,
  type WatchResponse,
} from '../dist/esm/gen/confstream/v1/config_service_pb.js';

export type Message = Exclude<MessageInitShape<typeof WatchResponseSchema>, WatchResponse>;
export type Files = Readonly<Record<string, string>>;

export const source = 'demo';

/** The token of a version. */
export function tokenOf(version: number, epoch = 'e1'): string {
  return `token-of-${epoch}-${version}`;
}

export function headerOf(version: number, epoch = 'e1') {
  return { source, epoch, version: BigInt(version), resumeToken: version === 0 ? '' : tokenOf(version, epoch) };
}

export function sha256(bytes: string | Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/** Paths in byte order, as a server sends them. */
export function sortedPaths(files: Files): string[] {
  return Object.keys(files).sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

export function viewDigestOf(files: Files): string {
  const lines = sortedPaths(files).map((path) => `${sha256(files[path] ?? '').slice(7)}  ${path}\n`);
  return sha256(lines.join(''));
}

export function wireFile(path: string, text: string, from = 0, to = Infinity) {
  const content = Buffer.from(text);
  return {
    path,
    content: content.subarray(from, to),
    contentOffset: BigInt(from),
    sizeBytes: BigInt(content.length),
    digest: sha256(content),
    contentType: 'text/plain',
    lastChangedVersion: 1n,
  };
}

export function snapshot(version: number, files: Files, epoch?: string): Message {
  const value = {
    files: sortedPaths(files).map((path) => wireFile(path, files[path] ?? '')),
    viewDigest: viewDigestOf(files),
  };
  const reason = WatchReason.INITIAL;
  return { header: headerOf(version, epoch), reason, inSync: true, event: { case: 'snapshot', value } };
}

export function delta(version: number, base: number, before: Files, files: Files): Message {
  const value = {
    baseVersion: BigInt(base),
    changedFiles: sortedPaths(files)
      .filter((path) => files[path] !== before[path])
      .map((path) => wireFile(path, files[path] ?? '')),
    removedPaths: sortedPaths(before).filter((path) => !(path in files)),
    viewDigest: viewDigestOf(files),
  };
  return { header: headerOf(version), reason: WatchReason.UPDATE, inSync: true, event: { case: 'delta', value } };
}

export function heartbeat(version: number, epoch?: string): Message {
  return { header: headerOf(version, epoch), inSync: version > 0, event: { case: 'heartbeat', value: {} } };
}
