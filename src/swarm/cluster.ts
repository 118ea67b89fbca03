/** Which cluster a node belongs to, remembered in DIR/cluster, and what is derived from the cluster's secret. */
import { hash, hkdfSync, randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { identityFromSeed } from '../wire/wire.ts'
import { ClusterConflictError, SwarmFileError, TokenError } from './errors.ts'
import { createSeed, seedToPem } from './key-file.ts'
import { readSecretFile, writeSecretFile } from './secret-file.ts'
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
  const path = join(directory, 'cluster')
  const text = await readSecretFile(path)
  if (text === undefined) return undefined
  try {
    return parseToken(text)
  } catch (cause) {
    if (!(cause instanceof TokenError)) throw cause
    throw new SwarmFileError(path, `does not hold a cluster: ${cause.message}`, { cause })
  }
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
  await remember(directory, cluster)
  return cluster
}

/**
 * Joins the token's cluster and remembers it. A token of the remembered cluster with another secret is how a member
 * follows a rotation. Throws TokenError, or ClusterConflictError when the node belongs to another cluster.
 */
export async function joinCluster(directory: string, token: string): Promise<Cluster> {
  const content = parseToken(token)
  const known = await findCluster(directory)
  if (known !== undefined && !equal(known.authority, content.authority)) {
    throw new ClusterConflictError(
      `${directory} belongs to cluster ${clusterId(known)}, the token to cluster ${clusterId(content)}. ` +
        `To move this node, stop it, remove ${join(directory, 'cluster')} (and ${join(directory, 'authority')}, ` +
        `after exporting it if that cluster is still in use), then join again; content stays, but tags and policy ` +
        `of the two clusters will meet.`,
    )
  }
  const bootstrap = [...new Set([...content.bootstrap, ...(known?.bootstrap ?? [])])]
  const cluster = { ...content, bootstrap: bootstrap.slice(0, maxBootstrapAddresses) }
  await remember(directory, cluster)
  return cluster
}

/**
 * Gives the cluster a new secret: the answer to a leaked token. Content, records and the authority stay. From the next
 * start on this node talks only to members that have joined with the new token; each of the others has to.
 */
export async function rotateSecret(directory: string): Promise<Cluster> {
  const known = await findCluster(directory)
  if (known === undefined)
    throw new ClusterConflictError(`${directory} belongs to no cluster whose secret could change`)
  const cluster = { ...known, secret: newSecret() }
  await remember(directory, cluster)
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

async function remember(directory: string, cluster: Cluster): Promise<void> {
  await writeSecretFile(join(directory, 'cluster'), `${encodeToken(cluster)}\n`)
}

function newSecret(): Uint8Array {
  return new Uint8Array(randomBytes(32))
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}
