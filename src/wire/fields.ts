/** What messages and records name again and again: content, repositories, tags and peers, each with its longest text. */
import { type Digest, parseDigest, parseRepository, parseTag, type Repository, type Tag } from '../oci/oci.ts'
import { parsePeerId } from './peer-id.ts'
import { text } from './schema.ts'

/** The longest is that of a SHA-512. */
export const digestText = text<Digest>({ max: 135, parse: parseDigest })
export const repositoryText = text<Repository>({ max: 255, parse: parseRepository })
export const tagText = text<Tag>({ max: 128, parse: parseTag })

export const peerIdText = text({
  max: 64,
  parse: (value) => {
    parsePeerId(value)
    return value
  },
})
