/** What a node can be told: every setting with its kind, its default and its help. A new one is a row here. */
import { join } from 'node:path'
import { home, isCheckout } from '../home.ts'
import { webhook } from '../webhooks/webhook-setting.ts'
import {
  address,
  copies,
  diskShare,
  duration,
  durationOrForever,
  flag,
  hostName,
  type Kind,
  nodeName,
  oneOf,
  path,
  size,
  text,
  url,
  word,
} from './kinds.ts'
import { upstream, upstreamFromObject } from './upstream.ts'

export interface Setting<T> {
  kind: Kind<T>
  /** As one would write it after the flag; `undefined` where the setting may be absent. */
  fallback: string | undefined
  /** For the help: what stands after the flag, and what it is for. */
  value: string
  help: string
  repeatable?: true
  /** Reads what the config file may say as an object instead of a text. */
  fromObject?: (given: object, file: string) => T
}

/** The checkout's own, whichever folder the command is given in. */
const checkoutData = join(home, 'shoal-data')

export const table = {
  data: {
    kind: path,
    fallback: isCheckout ? './shoal-data' : '/var/lib/shoal',
    value: 'DIR',
    help: 'where the node keeps everything',
  },
  http: {
    kind: address,
    fallback: '127.0.0.1:5000',
    value: 'HOST:PORT',
    help: 'where docker and other clients reach it',
  },
  'allow-host': {
    kind: hostName,
    fallback: undefined,
    value: 'NAME',
    help: "a name by which clients reach it, besides this host's own; *.NAME for all below, * for any; may be given several times",
    repeatable: true,
  },
  'tls-cert': {
    kind: path,
    fallback: undefined,
    value: 'FILE',
    help: 'speak TLS to clients with this certificate, and those between it and its authority behind it (PEM); read again when it changes',
  },
  'tls-key': { kind: path, fallback: undefined, value: 'FILE', help: 'the key of --tls-cert (PEM)' },
  tls: {
    kind: oneOf('self'),
    fallback: undefined,
    value: 'self',
    help: "speak TLS with certificates of this node's own authority; shoal client-config says where clients need it",
  },
  'plain-loopback': {
    kind: flag,
    fallback: 'false',
    value: '',
    help: 'with TLS: programs on this host may speak plain HTTP, too',
  },
  'allow-anonymous-network': {
    kind: flag,
    fallback: 'false',
    value: '',
    help: 'listen for clients of other hosts without TLS, or without access rules: who reaches the port may do everything',
  },
  p2p: { kind: address, fallback: '0.0.0.0:5001', value: 'HOST:PORT', help: 'where other nodes reach it' },
  join: {
    kind: text,
    fallback: undefined,
    value: 'TOKEN',
    help: 'join the cluster that made the token (see shoal token)',
  },
  bootstrap: {
    kind: text,
    fallback: undefined,
    value: 'MULTIADDR',
    help: 'a member to find the others by; may be given several times',
    repeatable: true,
  },
  site: {
    kind: word,
    fallback: undefined,
    value: 'NAME',
    help: 'the site of this node: each blob comes into it about once, and its nodes share what keep rules with --site match',
  },
  'no-mdns': {
    kind: flag,
    fallback: 'false',
    value: '',
    help: 'do not look for members on the local network',
  },
  upstream: {
    kind: upstream,
    fromObject: upstreamFromObject,
    fallback: undefined,
    value: 'NAME[=URL]',
    help: 'a registry to mirror, such as docker.io; may be given several times',
    repeatable: true,
  },
  'mirror-ttl': {
    kind: duration,
    fallback: '5m',
    value: 'TIME',
    help: 'for how long a mirrored tag is served before its upstream is asked again; 0s for each time',
  },
  'no-bare-names': {
    kind: flag,
    fallback: 'false',
    value: '',
    help: "a name without a registry is never taken for the first upstream's",
  },
  ack: {
    kind: copies,
    fallback: '1',
    value: 'N',
    help: 'a push is answered once N members hold all of it, or after 30 s with a warning; rules of the policy and the header Shoal-Ack say otherwise',
  },
  'no-delete': { kind: flag, fallback: 'false', value: '', help: 'refuse every deletion by clients' },
  sparse: {
    kind: oneOf('none', 'indexes', 'all'),
    fallback: 'indexes',
    value: 'WHICH',
    help: 'which manifests may be pushed that refer to what is not here: none, indexes, or all',
  },
  'gc-interval': {
    kind: duration,
    fallback: '1h',
    value: 'TIME',
    help: 'how often unreferenced content is collected; 0s for never',
  },
  'gc-grace': {
    kind: duration,
    fallback: '24h',
    value: 'TIME',
    help: 'how long content that nothing refers to is kept; longer than your longest push',
  },
  'keep-untagged': {
    kind: durationOrForever,
    fallback: '7d',
    value: 'TIME',
    help: 'how long a manifest without a tag is kept after it lost it and was last asked for; or forever',
  },
  scrub: {
    kind: duration,
    fallback: '30d',
    value: 'TIME',
    help: 'within which everything stored is read and hashed again, little by little; 0s for never',
  },
  'max-upload': {
    kind: size,
    fallback: '0',
    value: 'SIZE',
    help: 'bytes per second to other members at most; 0 for no limit',
  },
  'max-download': {
    kind: size,
    fallback: '0',
    value: 'SIZE',
    help: 'bytes per second from other members at most; 0 for no limit',
  },
  'min-free': {
    kind: size,
    fallback: '256MiB',
    value: 'SIZE',
    help: 'uploads are refused when the disk has less than this left',
  },
  'max-disk': {
    kind: diskShare,
    fallback: undefined,
    value: 'SIZE|PERCENT',
    help: 'what the data directory may take of the disk, such as 200GiB or 80%; what may go makes room (default: all but --min-free)',
  },
  metrics: {
    kind: address,
    fallback: undefined,
    value: 'HOST:PORT',
    help: 'a further port that answers /metrics, /healthz and /readyz alone, over plain HTTP',
  },
  name: {
    kind: nodeName,
    fallback: undefined,
    value: 'NAME',
    help: "what this node is called where members are listed (default: the host's name)",
  },
  'no-page': { kind: flag, fallback: 'false', value: '', help: 'do not serve the web page' },
  'page-host': {
    kind: hostName,
    fallback: undefined,
    value: 'NAME',
    help: 'a host name by which browsers reach the page; may be given several times',
    repeatable: true,
  },
  'page-changes': {
    kind: flag,
    fallback: 'false',
    value: '',
    help: 'let who did not sign in on the page delete tags and free space from other hosts, too',
  },
  webhook: {
    kind: webhook,
    fallback: undefined,
    value: 'URL|FILE',
    help: 'tell this URL of pushes, pulls and deletions; may be given several times',
    repeatable: true,
  },
  'trace-endpoint': {
    kind: url,
    fallback: undefined,
    value: 'URL',
    help: 'send traces to this OpenTelemetry collector, over HTTP',
  },
  'log-level': {
    kind: oneOf('trace', 'debug', 'info', 'warn', 'error', 'silent'),
    fallback: 'info',
    value: 'LEVEL',
    help: 'trace, debug, info, warn, error or silent',
  },
  'log-format': {
    kind: oneOf('auto', 'json', 'pretty'),
    fallback: 'auto',
    value: 'FORMAT',
    help: 'json, pretty, or auto: pretty on a terminal and JSON lines elsewhere',
  },
} satisfies Record<string, Setting<unknown>>

type Table = typeof table
export type SettingName = keyof Table
type ValueOf<N extends SettingName> =
  Table[N]['kind'] extends Kind<infer T>
    ? Table[N] extends { repeatable: true }
      ? T[]
      : Table[N] extends { fallback: undefined }
        ? T | undefined
        : T
    : never

export type Settings = { [N in SettingName]: ValueOf<N> }

export const allSettings = Object.keys(table) as SettingName[]

/** As it is read; the help names a checkout's data directory shorter. */
export function fallbackOf(name: SettingName): string | undefined {
  return name === 'data' && isCheckout ? checkoutData : table[name].fallback
}
