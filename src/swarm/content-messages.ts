/** The messages of the have and fetch protocols. */
import { codec, digestText, literal, repositoryText, struct, uint, variant } from '../wire/wire.ts'

export const haveProtocol = '/shoal/have/1.0.0'
export const fetchProtocol = '/shoal/fetch/1.0.0'
export const maxMessageBytes = 1024

/** The one request of both protocols. */
export const wantedMessage = codec(
  struct({
    digest: digestText,
    repository: repositoryText,
  }),
  { maxBytes: maxMessageBytes },
)

export const haveMessage = codec(
  variant('have', {
    no: struct({ have: literal('no') }),
    yes: struct({ have: literal('yes') }),
  }),
  { maxBytes: maxMessageBytes },
)

/** After `content`, exactly `size` raw bytes follow. */
export const fetchMessage = codec(
  variant('fetch', {
    absent: struct({ fetch: literal('absent') }),
    busy: struct({ fetch: literal('busy') }),
    content: struct({ fetch: literal('content'), size: uint() }),
  }),
  { maxBytes: maxMessageBytes },
)
