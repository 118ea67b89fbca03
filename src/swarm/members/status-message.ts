/** The messages with which members tell each other about themselves and whom they know. */
import { parseRepository } from '../../oci/oci.ts'
import { bytes, codec, list, optional, peerIdText, struct, text, uint } from '../../wire/wire.ts'
import { checkMultiaddr } from '../cluster/token.ts'
import { maxStatementBytes } from './clones.ts'

export const statusProtocol = '/shoal/status/1.0.0'
export const maxStatusBytes = 64 * 1024
export const maxPeersTold = 48
export const maxAddressesTold = 4
export const maxAddressLength = 256
export const maxUpstreamsTold = 32
const maxUpstreamLength = 128
export const maxKeepsTold = 64
const maxKeepLength = 96
const maxSiteLength = 64
const maxRoomStep = 40

const address = text({ max: maxAddressLength, parse: checkMultiaddr })
/** Names of the upstreams that the sender reaches now: the first word of a mirrored repository's name. */
const upstreams = list(text({ max: maxUpstreamLength, parse: (name): string => parseRepository(name) }), {
  max: maxUpstreamsTold,
})
/** Keep rules of which the sender holds its site's share, as `SITE/RULE`. */
const keeps = list(text({ max: maxKeepLength }), { max: maxKeepsTold })

/** Where the sender says it is. */
const site = optional(text({ max: maxSiteLength }))

/** What the sender is called. */
const name = optional(text({ max: 64 }))
/** The room that the sender offers for copies, as a step (owners.ts of src/placement); absent for none. */
const room = optional(uint({ max: maxRoomStep }))

/** That the sender runs, in its own words: see clones.ts. */
const running = bytes({ max: maxStatementBytes })

/** Who asks tells of itself what may change at any time. */
export const statusRequest = codec(struct({ away: upstreams, keeps, name, room, running, site, upstreams }), {
  maxBytes: 16 * 1024,
})

export const statusMessage = codec(
  struct({
    /** Such as `shoal/0.1.0`. */
    agent: text({ max: 64 }),
    /** How many digests it announces. */
    announces: uint(),
    /** Some of the members that it is connected to, with addresses to dial. */
    peers: list(struct({ addresses: list(address, { max: maxAddressesTold }), peer: peerIdText }), {
      max: maxPeersTold,
    }),
    /** Upstreams that the sender mirrors and does not reach now. */
    away: upstreams,
    keeps,
    name,
    /** What another process than the one that asks lately said under the asker's identity. */
    rival: optional(bytes({ max: maxStatementBytes })),
    room,
    running,
    site,
    upstreams,
  }),
  { maxBytes: maxStatusBytes },
)
