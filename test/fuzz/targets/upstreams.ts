/** What registries outside and their token servers answer. */
import { Readable } from 'node:stream'
import { steadyClock } from '../../../src/base/base.ts'
import { parseDigest, parseRepository, parseTag } from '../../../src/oci/oci.ts'
import { Availability } from '../../../src/upstream/availability.ts'
import { readBlobHead } from '../../../src/upstream/blob-answers.ts'
import { isSameChallenge, readChallenge } from '../../../src/upstream/challenges.ts'
import { checkManifest, readManifestHead } from '../../../src/upstream/manifests.ts'
import { limitsOf, pauseOf } from '../../../src/upstream/rate-limits.ts'
import { listReferrers } from '../../../src/upstream/referrers.ts'
import type { Answer, AnswerHeaders } from '../../../src/upstream/transport.ts'
import { ascii, type Decoder, latin1, mustBe, refusing, refusingLater, type Target } from '../target.ts'

const url = new URL('https://registry.example/v2/')
const digest = parseDigest(`sha256:${'ab'.repeat(32)}`)
const repository = parseRepository('team/app')
const unavailable = ['UPSTREAM_UNAVAILABLE']
const availability = (): Availability => new Availability('registry.example', steadyClock)

/** As on the wire: lines of headers, an empty one, the body. */
function answerIn(bytes: Uint8Array): { headers: AnswerHeaders; body: Buffer } {
  const whole = Buffer.from(bytes)
  const end = whole.indexOf('\n\n')
  const head = latin1(end < 0 ? whole : whole.subarray(0, end))
  const lines = head.split('\n').map((line): [string, string] => {
    const colon = line.indexOf(':')
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]
  })
  return { headers: Object.fromEntries(lines), body: end < 0 ? Buffer.alloc(0) : whole.subarray(end + 2) }
}

const challenges: Decoder = {
  seeds: ascii(
    'Bearer realm="https://auth.example/token",service="registry.example",scope="aws repository:a:pull"',
    'Basic realm="x", Bearer realm="http://a/b?c=d\\"e"',
    'Bearer , , realm = https://x',
  ),
  check(bytes) {
    const challenge = readChallenge({ 'www-authenticate': latin1(bytes) })
    if (challenge === undefined) return
    mustBe(isSameChallenge(challenge, challenge), 'a challenge that is not the same as itself')
    if (challenge.scheme === 'bearer') mustBe(challenge.scopes.length <= 8, 'more scopes than are asked for')
  },
}

const heads: Decoder = {
  seeds: ascii(
    `docker-content-digest: ${digest}\ncontent-type: application/vnd.oci.image.index.v1+json; q=1\ncontent-length: 12`,
    'retry-after: Wed, 21 Oct 2026 07:28:00 GMT\ndate: Wed, 21 Oct 2026 07:27:00 GMT',
    'ratelimit-limit: 100;w=21600\nx-ratelimit-remaining: 5\nretry-after: 120',
    'content-range: bytes 5-9/10',
  ),
  check(bytes) {
    const { headers } = answerIn(bytes)
    const head = readManifestHead(headers, { tag: parseTag('1') })
    if (head !== undefined) mustBe(Number.isSafeInteger(head.size) && head.size >= 0, 'a size that is none')
    const pauseMs = pauseOf(headers, 1_800_000_000_000)
    if (pauseMs !== undefined) mustBe(pauseMs >= 0 && Number.isFinite(pauseMs), 'a pause that is none')
    for (const limit of Object.values(limitsOf(headers)))
      mustBe(Number.isSafeInteger(limit), 'a limit that is none')
    for (const status of [200, 206]) {
      const answer = { url, status, headers, body: Readable.from([]) }
      const blob = refusing(unavailable, () => readBlobHead(answer, 5, availability()))
      if (blob !== undefined) mustBe(0 <= blob.start && Number.isSafeInteger(blob.size), 'a blob of no size')
    }
  },
}

const manifests: Decoder = {
  seeds: ascii(
    'content-type: application/vnd.oci.image.index.v1+json\n\n{"schemaVersion":2,"manifests":[]}',
    `docker-content-digest: ${digest}\n\n{}`,
  ),
  check(bytes) {
    const { headers, body } = answerIn(bytes)
    refusing(unavailable, () => checkManifest(body, headers, { tag: parseTag('1') }, availability()))
  },
}

/** Each page of the list is the input again, so that one that names itself as the next goes round. */
const referrers: Decoder = {
  seeds: ascii(
    `link: </v2/team/app/referrers/x?n=1>; rel="next"\n\n{"schemaVersion":2,"manifests":[{"mediaType":"a/b","digest":"${digest}","size":5}]}`,
    'link: <https://other.example/>; rel=next\n\n[]',
  ),
  async check(bytes) {
    const { headers, body } = answerIn(bytes)
    let asked = 0
    const get = async (path: string): Promise<Answer> => {
      asked++
      mustBe(path.startsWith('/'), `asks for ${path}`)
      return { url: new URL(path, url), status: 200, headers, body: Readable.from([Buffer.from(body)]) }
    }
    const source = { availability: availability(), get, getManifest: async () => undefined }
    const found = await refusingLater(unavailable, () => listReferrers(source, repository, digest, {}))
    mustBe(asked <= 16, `asks ${asked} times`)
    for (const one of found ?? []) mustBe(parseDigest(one) === one, 'a referrer that is no digest')
  },
}

export const upstreams: Target = { decoders: { challenges, heads, manifests, referrers } }
