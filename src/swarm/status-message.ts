/** The messages with which members tell each other about themselves and whom they know. */
import { codec, list, parsePeerId, struct, text, uint } from '../wire/wire.ts'
import { checkMultiaddr } from './token.ts'

export const statusProtocol = '/shoal/status/1.0.0'
export const maxStatusBytes = 64 * 1024
export const maxPeersTold = 48
export const maxAddressesTold = 4
export const maxAddressLength = 256

const peerId = text({
  max: 64,
  parse: (value) => {
    parsePeerId(value)
    return value
  },
})
const address = text({ max: maxAddressLength, parse: checkMultiaddr })

export const statusRequest = codec(struct({}), { maxBytes: 16 })

export const statusMessage = codec(
  struct({
    /** Such as `shoal/0.1.0`. */
    agent: text({ max: 64 }),
    /** How many digests it announces. */
    announces: uint(),
    /** Some of the members that it is connected to, with addresses to dial. */
    peers: list(struct({ addresses: list(address, { max: maxAddressesTold }), peer: peerId }), {
      max: maxPeersTold,
    }),
  }),
  { maxBytes: maxStatusBytes },
)
