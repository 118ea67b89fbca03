/**
 * Two nodes with one identity, such as a host that was copied with its data directory: how each of them learns of the other.
 *
 * Every node says in its status, signed, that it runs and when. Members keep what an identity said last, and pass on to it what
 * another process said under it. Who is told of a later moment than its own start, by a process that it is not, knows that its
 * key is in use elsewhere; no member can make that up.
 */
import { randomBytes } from 'node:crypto'
import type { Clock, Logger } from '../base/base.ts'
import {
  BadSignatureError,
  bytes,
  codec,
  createVerifier,
  MalformedError,
  seal,
  struct,
  uint,
  unseal,
} from '../wire/wire.ts'
import type { NodeIdentity } from './identity.ts'

export const maxStatementBytes = 256

/** Of the statements about one's own identity and of those that members made: how old they may be. */
const freshMs = 5 * 60_000
/** A process that ran before this one's start may have had a clock that was ahead of its own by so much. */
const marginMs = 60_000
/** Identities cost nothing, so what they said is dropped when it gets too much, the oldest first. */
const maxPeers = 1024

const domain = 'shoal-running-v1\0'
const statementCodec = codec(struct({ atMs: uint(), process: bytes({ length: 16 }) }), { maxBytes: 64 })

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
  /** What it signs is compared with what another host signs. */
  wall: Clock
  /** For how long ago something was heard. */
  clock: Clock
  logger: Logger
}

export function createClones({ identity, wall, clock, logger }: ClonesOptions): Clones {
  const self = new Uint8Array(randomBytes(16))
  const startedMs = wall.now()
  const verifier = createVerifier(domain, { maxRemembered: 64 })
  const said = new Map<string, Said[]>()
  let clonedMs = Number.NEGATIVE_INFINITY

  return {
    statement: () =>
      seal(
        domain,
        statementCodec.encode({ atMs: Math.max(0, Math.floor(wall.now())), process: self }),
        identity,
      ),
    heard(peer, statement) {
      const { process } = statementCodec.decode(unseal(statement).body)
      const nowMs = clock.now()
      const others = (said.get(peer) ?? []).filter(
        (one) => Buffer.compare(one.process, process) !== 0 && nowMs - one.heardMs < freshMs,
      )
      const [other] = others
      said.delete(peer)
      said.set(peer, [{ process, statement, heardMs: nowMs }, ...others.slice(0, 1)])
      for (const oldest of said.keys()) {
        if (said.size <= maxPeers) break
        said.delete(oldest)
      }
      return other?.statement
    },
    async told(peer, statement) {
      try {
        const envelope = unseal(statement)
        const { atMs, process } = statementCodec.decode(envelope.body)
        if (Buffer.compare(envelope.author, identity.publicKey) !== 0) return
        if (Buffer.compare(process, self) === 0) return
        const isLater = atMs > startedMs + marginMs && Math.abs(wall.now() - atMs) < freshMs
        if (!isLater) return
        await verifier.verify(envelope)
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
