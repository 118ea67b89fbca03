/** Which cluster a node belongs to, remembered in DIR/cluster, and what is derived from the cluster's secret. */
import { hash, hkdfSync, randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { identityFromSeed, MalformedError } from '../../wire/wire.ts'
import { ClusterConflictError, SwarmFileError, TokenError } from '../errors.ts'
import { createSeed, seedToPem } from './key-file.ts'
import { readRotation } from './rotation.ts'
import {
  isRotationLine,
  parseRotations,
  type Rotations,
  readRotationFile,
  removeRotationFile,
  rotationLines,
} from './rotation-file.ts'
import { readSecretFile, removeSecretFile, writeSecretFile } from './secret-file.ts'
import { encodeToken, maxBootstrapAddresses, parseToken, type TokenContent } from './token.ts'

/** A node's membership: the token's content, kept. */
export type Cluster = Readonly<TokenContent>

/** The same for all members, before and after a rotation. */
export interface ClusterNames {
  /** The mDNS service, so that clusters on one LAN do not see each other. */
  mdnsService: string
  /** The gossip topic. */
  topic: string
}

/** Values that only members can know; each is of no use for finding the secret. */
export interface SecretNames {
  /** Tells by which secret two nodes shake hands: both may have several. */
  protocol: string
  /** Mixed into the handshake. */
  prologue: Uint8Array
}

/** The remembered cluster, or `undefined` on a node that has none yet. */
export async function findCluster(directory: string): Promise<Cluster | undefined> {
  return (await recall(directory))?.cluster
}

export interface Remembered {
  cluster: Cluster
  /** Names of secrets that were the cluster's before, the latest last. */
  retired: string[]
  rotations: Rotations
}

/**
 * DIR/cluster is a file of lines: the token, then a name of each secret that it has replaced, and what is kept of rotations. All
 * of it is one file, so that a node that is killed finds either what was or what is.
 */
export async function recall(directory: string): Promise<Remembered | undefined> {
  const path = join(directory, 'cluster')
  const text = await readSecretFile(path)
  if (text === undefined) return undefined
  const [token = '', ...rest] = text.trim().split('\n')
  const own = rest.filter(isRotationLine)
  const retired = rest
    .filter((line) => !isRotationLine(line))
    .map((line) => /^retired ([0-9a-f]{64})$/.exec(line)?.[1])
  const rotations = own.length > 0 ? parseRotations(own, path) : await readRotationFile(directory)
  try {
    if (!isWhole(retired)) throw new TokenError('a line after the token names no retired secret')
    return await withRotations(own.length > 0 ? path : join(directory, 'rotation'), rotations, {
      given: parseToken(token),
      retired,
    })
  } catch (cause) {
    if (!(cause instanceof TokenError)) throw cause
    throw new SwarmFileError(path, `does not hold a cluster: ${cause.message}`, { cause })
  }
}

async function withRotations(
  path: string,
  rotations: Rotations,
  { given, retired }: { given: TokenContent; retired: string[] },
): Promise<Remembered> {
  const { generation, signed } = rotations
  try {
    // Who the authority was when it was taken is not asked again: it may have been handed over since.
    const secret = signed === undefined ? given.secret : (await readRotation(signed, () => true)).secret
    return { cluster: { ...given, secret, ...generationOf(generation) }, retired, rotations }
  } catch (cause) {
    if (!(cause instanceof MalformedError)) throw cause
    throw new SwarmFileError(path, `holds no rotation of this cluster: ${cause.message}`, { cause })
  }
}

function generationOf(generation: number): Pick<TokenContent, 'generation'> {
  return generation === 0 ? {} : { generation }
}

function isWhole(names: (string | undefined)[]): names is string[] {
  return !names.includes(undefined)
}

/** Whether what is remembered is an invitation, which has not made the node a member yet. */
export function isNewcomer({ invitation }: Cluster): boolean {
  return invitation !== undefined
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
  await remember(directory, { cluster, retired: [], rotations: { generation: 0, earlier: [] } })
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
  // A member has no use for an invitation, be it the one by which it came.
  const isNeedless = known !== undefined && isNewcomer(content) && !isNewcomer(known.cluster)
  const isRetired = known !== undefined && !isNeedless && isOlder(content, known)
  const bootstrap = [...new Set([...content.bootstrap, ...(known?.cluster.bootstrap ?? [])])]
  const cluster = {
    ...(known !== undefined && (isRetired || isNeedless) ? known.cluster : content),
    bootstrap: bootstrap.slice(0, maxBootstrapAddresses),
  }
  // Whoever joins anew with a later secret gives up that of before at once: a rotation that was handed over does not.
  const isNew = known !== undefined && !equal(known.cluster.secret, cluster.secret)
  const rotations =
    known === undefined || isNew ? { generation: content.generation ?? 0, earlier: [] } : known.rotations
  await replace(directory, known, { cluster, rotations })
  if (isRetired) onRetired()
  return cluster
}

/** Whether a token's secret was given up, as far as this node can know: it may have joined after that. */
function isOlder({ secret, generation = 0 }: TokenContent, { cluster, retired }: Remembered): boolean {
  return retired.includes(nameOf(secret)) || generation < (cluster.generation ?? 0)
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
  await removeRotationFile(directory)
  await removeSecretFile(join(directory, 'cluster'))
  await removeSecretFile(join(directory, 'authority'))
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

export function clusterNames({ authority }: Pick<Cluster, 'authority'>): ClusterNames {
  // Of the authority, whose key members alone are told: a rotation must not split gossip, nor hide members from each other.
  const name = (purpose: string): string => derive(authority, purpose, 16, new Uint8Array(0)).toString('hex')
  return { mdnsService: `_${name('mdns')}._udp.local`, topic: `/shoal/records/1/${name('topic')}` }
}

export function secretNames({ secret, authority }: Pick<Cluster, 'secret' | 'authority'>): SecretNames {
  return {
    protocol: `/noise/${derive(secret, 'noise protocol', 16, authority).toString('hex')}`,
    prologue: new Uint8Array(derive(secret, 'noise prologue', 32, authority)),
  }
}

function derive(from: Uint8Array, purpose: string, length: number, salt: Uint8Array): Buffer {
  return Buffer.from(hkdfSync('sha256', from, salt, `shoal/1 ${purpose}`, length))
}

/** More rotations ago than anybody has kept a setting. */
const maxRetired = 64

/** Keeps what is new of a cluster, and the name of the secret that it replaces. */
export async function replace(
  directory: string,
  known: Remembered | undefined,
  { cluster, rotations }: Pick<Remembered, 'cluster' | 'rotations'>,
): Promise<Remembered> {
  const isNew = known !== undefined && !equal(known.cluster.secret, cluster.secret)
  const retired = [...(known?.retired ?? []), ...(isNew ? [nameOf(known.cluster.secret)] : [])]
  const next = {
    cluster: { ...cluster, ...generationOf(rotations.generation) },
    retired: retired.slice(-maxRetired),
    rotations,
  }
  await remember(directory, next)
  return next
}

async function remember(directory: string, { cluster, retired, rotations }: Remembered): Promise<void> {
  const { generation: _, ...content } = cluster
  const lines = [
    encodeToken(content),
    ...retired.map((name) => `retired ${name}`),
    ...(rotations.generation > 0 || rotations.earlier.length > 0 ? rotationLines(rotations) : []),
  ]
  await writeSecretFile(join(directory, 'cluster'), `${lines.join('\n')}\n`)
  // Of a version before; it is not looked at any more.
  await removeRotationFile(directory)
}

/** Tells a secret from others, and nothing else about it. */
export function nameOf(secret: Uint8Array): string {
  return hash('sha256', secret, 'hex')
}

export function newSecret(): Uint8Array {
  return new Uint8Array(randomBytes(32))
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}
