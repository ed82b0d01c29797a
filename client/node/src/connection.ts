// One connection to one server, and the calls that a watch makes on it.

import {
  Client as GrpcClient,
  connectivityState,
  credentials,
  Metadata,
  type ChannelCredentials,
  type ChannelOptions,
  type ClientReadableStream,
} from '@grpc/grpc-js';
import { create, fromBinary, toBinary, type DescMessage, type DescMethod, type MessageShape } from '@bufbuild/protobuf';

import { fromGrpc } from './errors.js';
import {
  ConfigService,
  ReportOutcomeRequestSchema,
  type Outcome,
  type WatchRequest,
  type WatchResponse,
} from './gen/confstream/v1/config_service_pb.js';

/** How to reach the server. */
export interface ClientOptions {
  /** Credentials of @grpc/grpc-js. Default: none, plain text. */
  credentials?: ChannelCredentials;
  /** More options of @grpc/grpc-js's channel; they win over this client's own. */
  channelOptions?: ChannelOptions;
}

/** What became of a version, on the stream that delivered it. */
export interface Report {
  readonly watchId: string;
  readonly version: bigint;
  readonly outcome: Outcome;
  readonly reason: string;
}

/** A stream, with the channel that it is on. */
export interface Call {
  readonly stream: ClientReadableStream<WatchResponse>;
  readonly channel: GrpcClient;
}

const reportTimeoutMs = 5000;

const defaultOptions: ChannelOptions = {
  'grpc.max_receive_message_length': 64 * 2 ** 20, // by default it is 4 MiB
  'grpc.keepalive_time_ms': 20_000, // servers allow a ping every 10 s; none is sent without calls
  'grpc.keepalive_timeout_ms': 10_000,
  // Retrying is the watch's: gRPC would do it at once, without jitter.
  'grpc.enable_retries': 0,
  // Channels to one address otherwise share their backoff, and a new one would inherit it.
  'grpc.use_local_subchannel_pool': 1,
  // The server is on this node or this network: http_proxy is not meant for it.
  'grpc.enable_http_proxy': 0,
  'grpc.service_config_disable_resolution': 1,
  'grpc.enable_channelz': 0,
};

export class Connection {
  readonly address: string;
  readonly #target: string;
  readonly #credentials: ChannelCredentials;
  readonly #options: ChannelOptions;
  #channel: GrpcClient;

  /** Throws a TypeError if `address` is none. Connects with the first call. */
  constructor(address: string, options: ClientOptions) {
    this.address = address;
    this.#target = targetOf(address);
    this.#credentials = options.credentials ?? credentials.createInsecure();
    this.#options = { ...defaultOptions, ...options.channelOptions };
    this.#channel = this.#newChannel();
  }

  watch(request: WatchRequest): Call {
    const { path, serialize, deserialize } = wire(ConfigService.method.watch);
    const channel = this.#channel;
    return { stream: channel.makeServerStreamRequest(path, serialize, deserialize, request), channel };
  }

  /** Rejects with a ConfstreamError: that of the call, or CANCELLED once `signal` is aborted. */
  async report(report: Report, signal: AbortSignal): Promise<void> {
    const { path, serialize, deserialize } = wire(ConfigService.method.reportOutcome);
    const request = create(ReportOutcomeRequestSchema, report);
    const options = { deadline: Date.now() + reportTimeoutMs };
    let cancel = (): void => undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        const call = this.#channel.makeUnaryRequest(
          path,
          serialize,
          deserialize,
          request,
          new Metadata(),
          options,
          (error) => {
            if (error) reject(fromGrpc(error));
            else resolve();
          },
        );
        cancel = () => {
          call.cancel();
        };
        signal.addEventListener('abort', cancel);
      });
    } finally {
      signal.removeEventListener('abort', cancel);
    }
  }

  /**
   * A stream on `channel` has ended. If that channel could not connect, the next stream gets a new one: the old one
   * would fail streams without trying, until its own backoff is over, which is longer. `silent`: nothing came at all, so
   * even a connection that is still being made is given up.
   */
  replaceIfUnconnected(channel: GrpcClient, silent: boolean): void {
    if (channel !== this.#channel) return;
    const state = channel.getChannel().getConnectivityState(false);
    const unconnected =
      state === connectivityState.TRANSIENT_FAILURE || (silent && state === connectivityState.CONNECTING);
    if (!unconnected) return;
    channel.close();
    this.#channel = this.#newChannel();
  }

  close(): void {
    this.#channel.close();
  }

  #newChannel(): GrpcClient {
    return new GrpcClient(this.#target, this.#credentials, this.#options);
  }
}

/** `host:port`, `[v6]:port` or `unix:/path` as gRPC has it: with its scheme, so that no host name is taken for one. */
function targetOf(address: string): string {
  if (/^unix:[^\0]+$/.test(address)) return address;
  const port = /^(?:[^\s:/[\]]+|\[[0-9A-Fa-f:.%]+\]):(\d{1,5})$/.exec(address)?.[1];
  if (port !== undefined && Number(port) > 0 && Number(port) < 65536) return `dns:///${address}`;
  const remedy = 'is neither host:port, such as 127.0.0.1:50051 or [::1]:50051, nor unix:/path';
  throw new TypeError(`the server address ${JSON.stringify(address)} ${remedy}`);
}

/** What grpc-js has to know of a method. */
function wire<I extends DescMessage, O extends DescMessage>(method: DescMethod & { input: I; output: O }) {
  return {
    path: `/${method.parent.typeName}/${method.name}`,
    serialize: (message: MessageShape<I>): Buffer => Buffer.from(toBinary(method.input, message)),
    // What a newer server has added is left out: nothing here reads it, and held it would be for as long as the message.
    deserialize: (bytes: Buffer): MessageShape<O> => fromBinary(method.output, bytes, { readUnknownFields: false }),
  };
}
