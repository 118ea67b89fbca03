/**
 * Two nodes with one identity, such as a host that was copied with its data directory: how each of them learns of the other.
 *
 * Every process of a node says in its status, signed, that it runs, and which other process under its identity it was told of
 * last. Members keep what an identity said, and pass on to it what another process said under it. Who is told of a process
 * that it is not, and that speaks of it, knows that its key is in use elsewhere: one that ended before this one started
 * cannot have heard of it, and no member can sign for either.
 */
import { randomBytes } from 'node:crypto'
import type { Clock, Logger } from '../../base/base.ts'
import {
  BadSignatureError,
  bytes,
  codec,
  createVerifier,
  MalformedError,
  optional,
  seal,
  struct,
  uint,
  unseal,
} from '../../wire/wire.ts'
import type { NodeIdentity } from '../cluster/identity.ts'

export const maxStatementBytes = 256

/** How long something that was heard counts. */
const freshMs = 5 * 60_000
/** Identities cost nothing, so what they said is dropped when it gets too much, the oldest first. */
const maxPeers = 1024
/** Processes that were proven to run beside this one. */
const maxRivals = 8

const domain = 'shoal-running-v1\0'
const processId = bytes({ length: 16 })
/** `count` goes up with each statement of a process, so that an old one proves nothing twice. */
const statementCodec = codec(struct({ count: uint(), process: processId, rival: optional(processId) }), {
  maxBytes: 96,
})

export interface Clones {
  /** What this node says of itself now. */
  statement(): Uint8Array
  /**
   * Keeps what `peer` says of itself. Returns what another process said lately under the same identity, to be passed on to it.
   * Throws MalformedError when it is no statement.
   */
  heard(peer: string, statement: Uint8Array): Uint8Array | undefined
  /** Judges what a member passed on to this node. Never throws for what it holds. */
  told(peer: string, statement: Uint8Array): Promise<void>
  /** Whether another node ran with this identity within the last minutes. */
  isCloned(): boolean
}

export interface ClonesOptions {
  identity: NodeIdentity
  clock: Clock
  logger: Logger
}

export function createClones({ identity, clock, logger }: ClonesOptions): Clones {
  const self = new Uint8Array(randomBytes(16))
  const verifier = createVerifier(domain, { maxRemembered: 64 })
  const said = new Map<string, Said[]>()
  /** The last count of each rival that was proven, by process. */
  const proven = new Map<string, number>()
  let count = 0
  let rival: Uint8Array | undefined
  let clonedMs = Number.NEGATIVE_INFINITY

  return {
    statement: () => {
      const body = { count: ++count, process: self, ...(rival === undefined ? {} : { rival }) }
      return seal(domain, statementCodec.encode(body), identity)
    },
    heard(peer, statement) {
      const { process } = statementCodec.decode(unseal(statement).body)
      const nowMs = clock.now()
      const others = (said.get(peer) ?? []).filter(
        (one) => !same(one.process, process) && nowMs - one.heardMs < freshMs,
      )
      const [other] = others
      said.delete(peer)
      said.set(peer, [{ process, statement, heardMs: nowMs }, ...others.slice(0, 1)])
      trim(said, maxPeers)
      return other?.statement
    },
    async told(peer, statement) {
      try {
        const envelope = unseal(statement)
        const other = statementCodec.decode(envelope.body)
        if (!same(envelope.author, identity.publicKey) || same(other.process, self)) return
        await verifier.verify(envelope)
        rival = other.process
        if (other.rival === undefined || !same(other.rival, self)) return
        const name = Buffer.from(other.process).toString('hex')
        if (other.count <= (proven.get(name) ?? 0)) return
        proven.delete(name)
        proven.set(name, other.count)
        trim(proven, maxRivals)
      } catch (error) {
        if (error instanceof MalformedError || error instanceof BadSignatureError) {
          logger.debug({ err: error, peer }, 'a member passed on what this node never said')
          return
        }
        throw error
      }
      if (!this.isCloned()) logger.error({ peer }, `${clonedProblem}; this member talks to both`)
      clonedMs = clock.now()
    },
    isCloned: () => clock.now() - clonedMs < freshMs,
  }
}

/** In words, for whoever looks after the host. */
export const clonedProblem =
  'another node runs with the identity of this one, as after copying a host with its data directory: stop one of them, remove identity from its data directory, and start it again'

interface Said {
  process: Uint8Array
  statement: Uint8Array
  heardMs: number
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}

function trim(map: Map<string, unknown>, most: number): void {
  for (const oldest of map.keys()) {
    if (map.size <= most) return
    map.delete(oldest)
  }
}
