/** Who is let into the cluster by this node, and what this node hears where it is the newcomer itself. */
import { type Clock, CodedError, type Logger, LogLimit, RecentMap } from '../../src/base/base.ts'
import { endOf, type Ledger, proveInvitation, readProof, verifyProof } from '../../src/records/records.ts'
import { invitationSecret } from '../../src/swarm/cluster/token.ts'
import type { AdmissionDesk, AdmissionVerdict, Newcomer, RotatingSecrets } from '../../src/swarm/swarm.ts'
import { identityFromSeed, MalformedError } from '../../src/wire/wire.ts'
import { type WaitingGuest, WaitingGuests } from './waiting-guests.ts'

export interface Admissions extends AdmissionDesk, Disposable {
  guests(): WaitingGuest[]
  /** Why this node is no member, in words; `undefined` where nothing is known against it. */
  problem(): string | undefined
}

export interface AdmissionsOptions {
  names: Pick<Ledger, 'authority' | 'isBanned' | 'isGuest' | 'onChange' | 'policy' | 'publish' | 'roster'>
  secrets: RotatingSecrets
  /** This node. */
  self: { peer: string; name: string; site?: string | undefined }
  /** Whether members speak to this node as to one of them. */
  isServed(): boolean
  /** Told of a guest that is one no more, with the multiaddrs at which it may be. */
  onApproved(peer: string, addresses: string[]): void
  /** What is compared with when invitations end. */
  clock: Clock
  steady: Clock
  logger: Logger
}

/** Somebody is not let in, for this reason. */
class NotAdmittedError extends CodedError {
  readonly code = 'NOT_ADMITTED'
}

/** Who comes too late is told so, and not that nobody knows the invitation. */
const toldForMs = 60 * 60_000
/** As many as handshakes are made with; no more are made. */
export const maxLiveInvitations = 64
/** A node that has just become a member may not have heard yet of all others. */
const settleMs = 60_000
/** Whoever is connected can say one thing and then another. */
const toldAgainMs = 10 * 60_000

export function openAdmissions(options: AdmissionsOptions): Admissions {
  const { names, secrets, self, isServed, onApproved, clock, steady, logger } = options
  const waiting = new WaitingGuests(steady)
  const limit = new LogLimit({ clock: steady, everyMs: toldAgainMs })
  // Asked for twice a second.
  const secretOf = new RecentMap<string, Uint8Array>(maxLiveInvitations)
  const isClosed = (): boolean => names.policy().members === 'approved'
  const isMember = (): boolean => names.roster().isMember(self.peer)
  /** Since when this node is on the roster; from the start on where it knew then, or was a member before there was one. */
  let memberSinceMs = isMember() ? Number.NEGATIVE_INFINITY : undefined
  let wasClosed = isClosed()
  let verdict: AdmissionVerdict | undefined

  const follow = (): void => {
    const nowMs = wasClosed ? steady.now() : Number.NEGATIVE_INFINITY
    memberSinceMs = isMember() ? (memberSinceMs ?? nowMs) : undefined
    wasClosed = isClosed()
    for (const { peer } of waiting.list()) {
      if (names.isBanned(peer)) waiting.take(peer)
      else if (!names.isGuest(peer)) onApproved(peer, waiting.take(peer))
    }
  }

  /** Counts a use of the invitation, unless the same node has used it. Throws NotAdmittedError. */
  const redeem = async ({ peer, proof, name, site }: Newcomer): Promise<void> => {
    if (proof === undefined) throw new MalformedError('a newcomer without a proof of its invitation')
    const { invitation, peer: proven } = readProof(proof)
    if (proven !== peer) throw new MalformedError("a proof of somebody else's invitation")
    await verifyProof(proof)
    await names.publish(async () => {
      const known = names.roster().invitations.get(invitation)
      if (known === undefined) throw new NotAdmittedError('this node knows no such invitation')
      if (known.admitted.includes(peer)) return []
      if (known.revokedMs !== undefined) throw new NotAdmittedError('the invitation was revoked')
      if (endOf(known) < clock.now()) throw new NotAdmittedError('the invitation has expired')
      if (known.admitted.length >= known.uses)
        throw new NotAdmittedError(`the invitation was for ${known.uses}, and is used up`)
      if (known.site !== undefined && known.site !== site)
        throw new NotAdmittedError(
          `the invitation is for site ${known.site}; start the node with --site ${known.site}`,
        )
      const said = { ...(name === undefined ? {} : { name }), ...(site === undefined ? {} : { site }) }
      logger.info({ peer, invitation, ...said }, 'a node was let in by an invitation')
      return [{ kind: 'admission', invitation, peer, value: { proof, ...said } }]
    })
  }

  const unsubscribe = names.onChange((keys) => {
    if (keys.some(({ kind }) => kind !== 'tag' && kind !== 'manifest' && kind !== 'account')) follow()
  })

  return {
    invitations() {
      const all = [...names.roster().invitations.values()]
      const live = all.filter(({ expiresMs }) => expiresMs + toldForMs > clock.now())
      return live
        .sort((a, b) => b.expiresMs - a.expiresMs)
        .slice(0, maxLiveInvitations)
        .map(({ id, key }) => {
          const secret = secretOf.get(id) ?? invitationSecret(key)
          secretOf.set(id, secret)
          return secret
        })
    },
    // Who is not on the roster itself does not know who is.
    isGuest: (peer) => isMember() && names.isGuest(peer),
    mayPart: () => memberSinceMs !== undefined && steady.now() - memberSinceMs >= settleMs,

    introduce() {
      const { invitation } = secrets.cluster()
      const proof = invitation && proveInvitation(self.peer, identityFromSeed(invitation))
      return {
        name: self.name,
        ...(self.site === undefined ? {} : { site: self.site }),
        ...(proof === undefined ? {} : { proof }),
      }
    },

    async judge(newcomer) {
      const { peer, isInvited } = newcomer
      try {
        if (isInvited) await redeem(newcomer)
      } catch (error) {
        // That this node may not write, or has a wrong clock, is for another member to do better.
        if (!(error instanceof CodedError) || error instanceof MalformedError) throw error
        logger.info({ peer, reason: error.message }, 'a node was not let in')
        return { kind: 'refused', why: error.message.slice(0, 512) }
      }
      if (names.isGuest(peer)) {
        waiting.add(newcomer)
        return { kind: 'guest', why: `it has to be approved: shoal member approve ${peer}` }
      }
      if (!isInvited) return { kind: 'member' }
      const { secret, generation = 0 } = secrets.cluster()
      return { kind: 'member', secret, generation }
    },

    async hear(told, peer) {
      // Who has no say here may try; and no other knows better than the authority.
      if (names.authority.holds() || (isMember() && names.isGuest(peer))) {
        logger.debug({ peer }, 'what a peer said of this node is not heard')
        return
      }
      if (told.kind !== verdict?.kind)
        limit.line(told.kind === 'member' ? 'in' : 'out', (unsaid) =>
          sayVerdict(told, { peer, unsaid }, logger),
        )
      verdict = told
      if (told.kind === 'member' && told.secret !== undefined)
        await secrets.admit({ secret: told.secret, generation: told.generation ?? 0 })
    },

    guests: () => waiting.list().filter(({ peer }) => names.isGuest(peer) && !names.isBanned(peer)),

    problem() {
      const why = verdict === undefined || verdict.kind === 'member' ? undefined : verdict.why
      if (secrets.isNewcomer())
        return `this node is no member yet: ${why ?? 'it has found nobody who knows its invitation'}`
      return why === undefined || isServed() ? undefined : `this node is a guest of its cluster: ${why}`
    },

    [Symbol.dispose]: unsubscribe,
  }
}

function sayVerdict(told: AdmissionVerdict, facts: { peer: string; unsaid: number }, logger: Logger): void {
  if (told.kind === 'member') logger.info(facts, 'a member says that this node is one as well')
  else logger.warn({ ...facts, why: told.why }, 'a member says that this node is none yet; it tries again')
}
