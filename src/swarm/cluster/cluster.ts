/** Which cluster a node belongs to, remembered in DIR/cluster, and what is derived from the cluster's secret. */
import { hash, hkdfSync, randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { identityFromSeed } from '../../wire/wire.ts'
import { ClusterConflictError, SwarmFileError, TokenError } from '../errors.ts'
import { createSeed, seedToPem } from './key-file.ts'
import { readSecretFile, removeSecretFile, writeSecretFile } from './secret-file.ts'
import { encodeToken, maxBootstrapAddresses, parseToken, type TokenContent } from './token.ts'

/** A node's membership: the token's content, kept. */
export type Cluster = Readonly<TokenContent>

/** Values that only members can know; each is of no use for finding the secret. */
export interface ClusterNames {
  /** Mixed into every Noise handshake. */
  prologue: Uint8Array
  /** The mDNS service, so that clusters on one LAN do not see each other. */
  mdnsService: string
  /** The gossip topic. */
  topic: string
}

/** The remembered cluster, or `undefined` on a node that has none yet. */
export async function findCluster(directory: string): Promise<Cluster | undefined> {
  return (await recall(directory))?.cluster
}

interface Remembered {
  cluster: Cluster
  /** Names of secrets that were the cluster's before, the latest last. */
  retired: string[]
}

/** A file of lines: the token, then a name of each secret that it has replaced. */
async function recall(directory: string): Promise<Remembered | undefined> {
  const path = join(directory, 'cluster')
  const text = await readSecretFile(path)
  if (text === undefined) return undefined
  const [token = '', ...rest] = text.trim().split('\n')
  const retired = rest.map((line) => /^retired ([0-9a-f]{64})$/.exec(line)?.[1])
  try {
    if (!isWhole(retired)) throw new TokenError('a line after the token names no retired secret')
    return { cluster: parseToken(token), retired }
  } catch (cause) {
    if (!(cause instanceof TokenError)) throw cause
    throw new SwarmFileError(path, `does not hold a cluster: ${cause.message}`, { cause })
  }
}

function isWhole(names: (string | undefined)[]): names is string[] {
  return !names.includes(undefined)
}

/** Starts a cluster of one: a new secret, and an authority key in DIR/authority. Throws ClusterConflictError when there is one. */
export async function startCluster(directory: string): Promise<Cluster> {
  if ((await findCluster(directory)) !== undefined) {
    throw new ClusterConflictError(`${directory} already belongs to a cluster`)
  }
  const seed = createSeed()
  const cluster = { secret: newSecret(), authority: identityFromSeed(seed).publicKey, bootstrap: [] }
  // The authority first: a cluster whose authority key was never written could not be governed.
  await writeSecretFile(join(directory, 'authority'), seedToPem(seed))
  await remember(directory, { cluster, retired: [] })
  return cluster
}

export interface JoinOptions {
  /** The token's secret was given up by a rotation: the node stays with the newer one. */
  onRetired?: () => void
  /** Whether a remembered cluster of another authority may be forgotten, since nobody else and nothing is in it. */
  isUnused?: () => Promise<boolean>
}

/**
 * Joins the token's cluster and remembers it. A token of the remembered cluster with another secret is how a member
 * follows a rotation; one with a secret of before does not lead back, so that an old setting cannot. Throws TokenError, or
 * ClusterConflictError when the node belongs to another cluster.
 */
export async function joinCluster(
  directory: string,
  token: string,
  { isUnused = async () => false, onRetired = () => undefined }: JoinOptions = {},
): Promise<Cluster> {
  const content = parseToken(token)
  let known = await recall(directory)
  if (known !== undefined && !equal(known.cluster.authority, content.authority)) {
    if (!(await isUnused())) throw conflict(directory, known.cluster, content)
    await forget(directory)
    known = undefined
  }
  const isRetired = known?.retired.includes(nameOf(content.secret)) ?? false
  const bootstrap = [...new Set([...content.bootstrap, ...(known?.cluster.bootstrap ?? [])])]
  const cluster = {
    ...(known !== undefined && isRetired ? known.cluster : content),
    bootstrap: bootstrap.slice(0, maxBootstrapAddresses),
  }
  await replace(directory, known, cluster)
  if (isRetired) onRetired()
  return cluster
}

function conflict(directory: string, known: Cluster, wanted: TokenContent): ClusterConflictError {
  return new ClusterConflictError(
    `${directory} belongs to cluster ${clusterId(known)}, the token to cluster ${clusterId(wanted)}. ` +
      `To move this node, stop it, remove ${join(directory, 'cluster')} (and ${join(directory, 'authority')}, ` +
      `after exporting it if that cluster is still in use), then join again; content stays, but tags and policy ` +
      `of the two clusters will meet.`,
  )
}

/** The authority last: a start that is cut off in between still knows that the cluster was this node's own. */
async function forget(directory: string): Promise<void> {
  await removeSecretFile(join(directory, 'cluster'))
  await removeSecretFile(join(directory, 'authority'))
}

/**
 * Gives the cluster a new secret: the answer to a leaked token. Content, records and the authority stay. From the next
 * start on this node talks only to members that have joined with the new token; each of the others has to.
 */
export async function rotateSecret(directory: string): Promise<Cluster> {
  const known = await recall(directory)
  if (known === undefined)
    throw new ClusterConflictError(`${directory} belongs to no cluster whose secret could change`)
  const cluster = { ...known.cluster, secret: newSecret() }
  await replace(directory, known, cluster)
  return cluster
}

/** The token with which others join, holding `addresses` (this node's own first) and the remembered ones. */
export function tokenOf(cluster: Cluster, addresses: string[] = []): string {
  const bootstrap = [...new Set([...addresses, ...cluster.bootstrap])].slice(0, maxBootstrapAddresses)
  return encodeToken({ ...cluster, bootstrap })
}

/** A short public name for people and logs; the same before and after a rotation. */
export function clusterId(cluster: Pick<Cluster, 'authority'>): string {
  return hash('sha256', cluster.authority, 'hex').slice(0, 12)
}

export function clusterNames({ secret, authority }: Cluster): ClusterNames {
  const derive = (purpose: string, length: number): Uint8Array =>
    new Uint8Array(hkdfSync('sha256', secret, authority, `shoal/1 ${purpose}`, length))
  const name = (purpose: string): string => Buffer.from(derive(purpose, 16)).toString('hex')
  return {
    prologue: derive('noise prologue', 32),
    mdnsService: `_${name('mdns')}._udp.local`,
    topic: `/shoal/records/1/${name('topic')}`,
  }
}

/** More rotations ago than anybody has kept a setting. */
const maxRetired = 64

async function replace(directory: string, known: Remembered | undefined, cluster: Cluster): Promise<void> {
  const isNew = known !== undefined && !equal(known.cluster.secret, cluster.secret)
  const retired = [...(known?.retired ?? []), ...(isNew ? [nameOf(known.cluster.secret)] : [])]
  await remember(directory, { cluster, retired: retired.slice(-maxRetired) })
}

async function remember(directory: string, { cluster, retired }: Remembered): Promise<void> {
  const lines = [encodeToken(cluster), ...retired.map((name) => `retired ${name}`)]
  await writeSecretFile(join(directory, 'cluster'), `${lines.join('\n')}\n`)
}

/** Tells a secret from others, and nothing else about it. */
function nameOf(secret: Uint8Array): string {
  return hash('sha256', secret, 'hex')
}

function newSecret(): Uint8Array {
  return new Uint8Array(randomBytes(32))
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}
